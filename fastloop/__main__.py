from fastloop._cli import main

main()

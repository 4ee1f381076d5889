/* Finding OpenSSL's functions. */
#include "tls/openssl.h"

#include "base/fault.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Puts the address of a function where one is kept. */
static bool
find(void *library, const char *name, void *place)
{
    void *found = dlsym(library, name);
    memcpy(place, &found, sizeof(found));
    return found != NULL;
}

static bool
find_all(struct fl_openssl *self)
{
    bool found = true;
#define FL_FIND(result, name, parameters) \
    found = find(self->library, #name, &self->name) && found;
    FL_OPENSSL_FUNCTIONS(FL_FIND)
#undef FL_FIND
    return found;
}

struct fl_openssl *
fl_openssl_find(const char *path, unsigned long version)
{
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
    if (library == NULL) {
        return NULL;
    }
    struct fl_openssl *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        (void)dlclose(library);
        return NULL;
    }
    self->library = library;
    if (!find_all(self) || self->OpenSSL_version_num() != version) {
        fl_openssl_free(self);
        return NULL;
    }
    return self;
}

void
fl_openssl_free(struct fl_openssl *self)
{
    if (self != NULL) {
        if (self->bio_method != NULL) {
            self->BIO_meth_free(self->bio_method);
        }
        (void)dlclose(self->library);
        free(self->place);
        free(self);
    }
}

/* Socket addresses as Python has them. */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/un.h>

#include "py/args/args.h"

bool
fl_address_knows(int family)
{
    return family == AF_INET || family == AF_INET6 || family == AF_UNIX;
}

static PyObject *
unix_to_object(const struct sockaddr_un *address, socklen_t length)
{
    size_t path_size = length > offsetof(struct sockaddr_un, sun_path)
                           ? length - offsetof(struct sockaddr_un, sun_path)
                           : 0;
    if (path_size > 0 && address->sun_path[0] == '\0') {
        return PyBytes_FromStringAndSize(address->sun_path, (Py_ssize_t)path_size);
    }
    return PyUnicode_DecodeFSDefaultAndSize(
        address->sun_path, (Py_ssize_t)strnlen(address->sun_path, path_size)
    );
}

PyObject *
fl_address_complete(const struct sockaddr *address, PyObject *host)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 =
            (const struct sockaddr_in *)(const void *)address;
        return Py_BuildValue("(Oi)", host, (int)ntohs(v4->sin_port));
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    return Py_BuildValue(
        "(OiII)", host, (int)ntohs(v6->sin6_port),
        (unsigned int)ntohl(v6->sin6_flowinfo), (unsigned int)v6->sin6_scope_id
    );
}

PyObject *
fl_address_to_object(const struct sockaddr *address, socklen_t length)
{
    if (length == 0) {
        return Py_NewRef(Py_None);
    }
    if (address->sa_family == AF_UNIX) {
        return unix_to_object(
            (const struct sockaddr_un *)(const void *)address, length
        );
    }
    char text[INET6_ADDRSTRLEN];
    const void *number =
        address->sa_family == AF_INET
            ? (const void *)&((const struct sockaddr_in *)(const void *)address)
                  ->sin_addr
            : (const void *)&((const struct sockaddr_in6 *)(const void *)address)
                  ->sin6_addr;
    if (inet_ntop(address->sa_family, number, text, sizeof(text)) == NULL) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    PyObject *host = PyUnicode_FromString(text);
    PyObject *object = host == NULL ? NULL : fl_address_complete(address, host);
    Py_XDECREF(host);
    return object;
}

/* An exact int of 0..max; else -1. */
static long long
number_of(PyObject *object, long long max)
{
    Py_ssize_t value;
    int overflow;
    bool is_int = fl_plain_int(object, &value, &overflow);
    return !is_int || value < 0 || value > max ? -1 : value;
}

static const char *
text_of(PyObject *object)
{
    if (!PyUnicode_CheckExact(object) || !PyUnicode_IS_COMPACT_ASCII(object)) {
        return NULL;
    }
    const char *text = PyUnicode_AsUTF8(object);
    if (text == NULL) {
        PyErr_Clear();
        return NULL;
    }
    /* inet_pton would stop at a null character */
    return strlen(text) == (size_t)PyUnicode_GET_LENGTH(object) ? text : NULL;
}

static bool
v6_from_object(PyObject *object, const char *host, long long port, void *address)
{
    struct sockaddr_in6 *v6 = address;
    Py_ssize_t n = PyTuple_GET_SIZE(object);
    long long flow = n > 2 ? number_of(PyTuple_GET_ITEM(object, 2), 0xfffff) : 0;
    long long scope = n > 3 ? number_of(PyTuple_GET_ITEM(object, 3), UINT32_MAX) : 0;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    v6->sin6_flowinfo = htonl((uint32_t)flow);
    v6->sin6_scope_id = (uint32_t)scope;
    return n <= 4 && flow >= 0 && scope >= 0 &&
           inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

bool
fl_address_from_object(
    int family, PyObject *object, struct sockaddr_storage *address, socklen_t *length
)
{
    if ((family != AF_INET && family != AF_INET6) || !PyTuple_CheckExact(object) ||
        PyTuple_GET_SIZE(object) < 2) {
        return false;
    }
    const char *host = text_of(PyTuple_GET_ITEM(object, 0));
    long long port = number_of(PyTuple_GET_ITEM(object, 1), 0xffff);
    if (host == NULL || port < 0) {
        return false;
    }
    memset(address, 0, sizeof(*address));
    if (family == AF_INET6) {
        *length = sizeof(struct sockaddr_in6);
        return v6_from_object(object, host, port, address);
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)address;
    *length = sizeof(*v4);
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    return PyTuple_GET_SIZE(object) == 2 &&
           inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

/* The bytes of a path: what they lie in, new; or NULL, and no exception. */
static PyObject *
path_bytes(PyObject *object)
{
    if (PyBytes_CheckExact(object)) {
        return Py_NewRef(object);
    }
    if (!PyUnicode_CheckExact(object)) {
        return NULL;
    }
    PyObject *path = PyUnicode_EncodeFSDefault(object);
    if (path == NULL) {
        PyErr_Clear();
    }
    return path;
}

bool
fl_address_from_path(
    PyObject *object, struct sockaddr_storage *address, socklen_t *length
)
{
    PyObject *path = path_bytes(object);
    if (path == NULL) {
        return false;
    }
    struct sockaddr_un *named = (struct sockaddr_un *)(void *)address;
    size_t size = (size_t)PyBytes_GET_SIZE(path);
    bool is_file = size > 0 && PyBytes_AS_STRING(path)[0] != '\0';
    bool fits = size + is_file <= sizeof(named->sun_path);
    if (fits) {
        memset(address, 0, sizeof(*address));
        named->sun_family = AF_UNIX;
        memcpy(named->sun_path, PyBytes_AS_STRING(path), size);
        *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + is_file);
    }
    Py_DECREF(path);
    return fits;
}

/* Preloaded into a balancer. While the file $L4LB_FAULT contains "CALL ERRNO", that call fails with
 * that errno for network sockets, as if the host had none left. While it contains "strays NUMBER
 * PID", that process makes the system call NUMBER instead of accepting or opening a socket. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fault(const char *call)
{
    const int before = errno;
    char named[16] = "";
    int error = 0, pid = 0;
    const char *path = getenv("L4LB_FAULT");
    FILE *file = path ? fopen(path, "re") : NULL;
    if (file) {
        const int found = fscanf(file, "%15s %d %d", named, &error, &pid);
        fclose(file);
        if (found == 3 && pid == getpid())
            syscall(error, 0, 0, 0, 0, 0, 0);
        if (found != 2 || strcmp(named, call) != 0)
            error = 0;
    }
    errno = before;
    return error;
}

int accept4(int listener, struct sockaddr *peer, socklen_t *length, int flags)
{
    struct sockaddr_storage local;
    socklen_t size = sizeof local;
    const int error = fault("accept4");
    if (error && getsockname(listener, (struct sockaddr *)&local, &size) == 0 &&
        local.ss_family != AF_UNIX) {
        errno = error;
        return -1;
    }
    int (*real)(int, struct sockaddr *, socklen_t *, int);
    *(void **)&real = dlsym(RTLD_NEXT, "accept4");
    return real(listener, peer, length, flags);
}

int socket(int family, int type, int protocol)
{
    const int error = family == AF_UNIX ? 0 : fault("socket");
    if (error) {
        errno = error;
        return -1;
    }
    int (*real)(int, int, int);
    *(void **)&real = dlsym(RTLD_NEXT, "socket");
    return real(family, type, protocol);
}

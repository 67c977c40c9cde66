/*
 * The shim: stands between the daemon and libc for the files of its store, so that tests can
 * record what reaches the disk, let calls fail or be slow, and step the clock.
 *
 *   LEADGATE_SHIM_PATH     the store's folder; nothing else is touched
 *   LEADGATE_SHIM_TRACE    file to record to; not recorded if unset
 *   LEADGATE_SHIM_CONTROL  folder whose files say, at any time, what goes wrong:
 *       sync-error   "ERRNO SKIP COUNT": after SKIP more syncs COUNT of them fail, 0 for all
 *       write-error  the same for writes
 *       sync-delay   milliseconds that each sync takes longer
 *       write-delay  the same for writes
 *       only         patterns of names below the store, one behind the other: errors and delays
 *                    are for these files alone
 *       clock        seconds to add to the wall clock
 *
 * A record of the trace is a header and its payload; its number is its place in the file. A
 * process appends to what the one before it recorded, after a record that says so.
 * A write is recorded under the lock that it was done under, so the order is the real one.
 * A sync says how many records there were when it began: only those are on disk by it.
 * sync_file_range is let through and not recorded: it promises nothing that survives. So is
 * fallocate, which the daemon calls past libc: it gives files room, which reads as zeros.
 * A folder that is opened, renamed or removed is recorded as such.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind {
    NAME = 1, WRITE = 2, TRUNCATE = 3, SYNC = 4, RENAME = 5, UNLINK = 6, START = 7,
    FOLDER = 8, /* as NAME, of a folder */
    MOVE = 9    /* a folder got another name: the payload is the old one, a zero, the new one */
};

struct header {
    uint32_t magic;
    uint32_t kind;
    uint32_t file;   /* which file of this process, from 1 on; a renamed file keeps it */
    uint32_t length; /* of the payload */
    uint64_t offset; /* where a write went, or the new length */
    uint64_t covers; /* for a sync: records of this process before it began */
};

#define MAGIC 0x4c475348u
#define FDS 65536
#define FILES 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *store, *control;
static size_t store_length;
static int trace = -1;
static uint64_t records;
static atomic_ushort fds[FDS];      /* file of a descriptor, 0 for none of ours */
static char *names[FILES];          /* present name of a file, below the store */
static uint32_t files;

/* Raw calls for what is hooked below: the shim must not call itself. */
static ssize_t raw_write(int fd, const void *bytes, size_t count) {
    return syscall(SYS_write, fd, bytes, count);
}

static void die(const char *why) {
    raw_write(2, why, strlen(why));
    _exit(97);
}

/* Under the lock. One write for each record, so that the file never holds half of one for long. */
static void record(enum kind kind, uint32_t file, uint64_t offset, uint64_t covers,
                   const void *payload, size_t length) {
    if (trace < 0)
        return;
    struct header header = {MAGIC, kind, file, (uint32_t)length, offset, covers};
    struct iovec parts[2] = {{&header, sizeof header}, {(void *)payload, length}};
    if (syscall(SYS_writev, trace, parts, 2) != (ssize_t)(sizeof header + length))
        die("shim: the trace cannot be written\n");
    records++;
}

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("LEADGATE_SHIM_TRACE");
    store = getenv("LEADGATE_SHIM_PATH");
    control = getenv("LEADGATE_SHIM_CONTROL");
    store_length = store ? strlen(store) : 0;
    if (path != NULL) {
        trace = (int)syscall(SYS_openat, AT_FDCWD, path,
                             O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (trace < 0)
            die("shim: the trace cannot be made\n");
        record(START, 0, 0, 0, NULL, 0);
    }
}

/* The name below the store, "" for the store itself, NULL for anything else. */
static const char *inside(const char *path) {
    if (store == NULL || path == NULL || strncmp(path, store, store_length) != 0)
        return NULL;
    path += store_length;
    if (*path == '\0')
        return path;
    return *path == '/' ? path + 1 : NULL;
}

/* Under the lock. */
static uint32_t file_of(const char *name) {
    for (uint32_t file = 1; file <= files; file++)
        if (names[file] != NULL && strcmp(names[file], name) == 0)
            return file;
    return 0;
}

/* Under the lock: the same, and from now on known if it was not yet. */
static uint32_t known(const char *name, enum kind kind) {
    uint32_t file = file_of(name);
    if (file != 0)
        return file;
    if (files + 1 >= FILES)
        die("shim: too many files\n");
    file = ++files;
    names[file] = strdup(name);
    record(kind, file, 0, 0, name, strlen(name));
    return file;
}

static uint32_t known_file(const char *name) { return known(name, NAME); }

/* Under the lock. */
static void forget(uint32_t file) {
    names[file] = NULL;
    record(UNLINK, file, 0, 0, NULL, 0);
}

static int open_any(int folder, const char *path, int flags, mode_t mode) {
    const char *name = inside(path);
    if (name == NULL)
        return (int)syscall(SYS_openat, folder, path, flags, mode);
    pthread_mutex_lock(&lock);
    int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
    int error = errno;
    if (fd >= 0 && fd < FDS) {
        struct stat facts;
        int folder = fstat(fd, &facts) == 0 && S_ISDIR(facts.st_mode);
        uint32_t file = known(name, folder ? FOLDER : NAME);
        fds[fd] = (unsigned short)file;
        if (flags & O_TRUNC)
            record(TRUNCATE, file, 0, 0, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE(mode, flags)                                                                         \
    mode_t mode = 0;                                                                              \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                        \
        va_list rest;                                                                             \
        va_start(rest, flags);                                                                    \
        mode = (mode_t)va_arg(rest, int);                                                         \
        va_end(rest);                                                                             \
    }

int open(const char *path, int flags, ...) {
    MODE(mode, flags)
    return open_any(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(mode, flags)
    return open_any(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE(mode, flags)
    return open_any(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(mode, flags)
    return open_any(folder, path, flags | O_LARGEFILE, mode);
}

int close(int fd) {
    if (fd >= 0 && fd < FDS)
        fds[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

/* A folder that is read from now on is closed inside of libc, where nobody is told. */
DIR *fdopendir(int fd) {
    DIR *(*next)(int) = (DIR *(*)(int))dlsym(RTLD_NEXT, "fdopendir");
    if (fd >= 0 && fd < FDS)
        fds[fd] = 0;
    return next(fd);
}

static uint32_t ours(int fd) { return fd >= 0 && fd < FDS ? fds[fd] : 0; }

/* Whether faults are meant for a file. What notes the attempts that run is in the store's folder,
 * and no promise rests on it: they are never meant for it. */
static int meant(uint32_t file) {
    char path[4096], text[1024], *rest = NULL;
    const char *name = names[file];
    if (name == NULL || strcmp(name, "in-flight") == 0)
        return 0;
    if (control == NULL || snprintf(path, sizeof path, "%s/only", control) < 0)
        return 1;
    int before = errno;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    ssize_t count = fd < 0 ? -1 : syscall(SYS_read, fd, text, sizeof text - 1);
    if (fd >= 0)
        syscall(SYS_close, fd);
    errno = before;
    if (count < 0)
        return 1;
    text[count] = '\0';
    for (char *one = strtok_r(text, " \n", &rest); one != NULL; one = strtok_r(NULL, " \n", &rest))
        if (fnmatch(one, name, 0) == 0)
            return 1;
    return 0;
}

/* Reads up to three numbers of a control file; how many there were. */
static int asked(const char *what, long numbers[3]) {
    char path[4096], text[64];
    if (control == NULL || snprintf(path, sizeof path, "%s/%s", control, what) < 0)
        return 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    ssize_t count = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    text[count > 0 ? count : 0] = '\0';
    return sscanf(text, "%ld %ld %ld", &numbers[0], &numbers[1], &numbers[2]);
}

/* The error that a call is to fail with, or 0. Calls are counted while the file is there. */
static int fails(const char *what, atomic_long *seen) {
    int before = errno;
    long numbers[3] = {0, 0, 0};
    int error = 0;
    if (asked(what, numbers) >= 1) {
        long number = atomic_fetch_add(seen, 1);
        if (number >= numbers[1] && (numbers[2] == 0 || number < numbers[1] + numbers[2]))
            error = (int)numbers[0];
    }
    errno = before;
    return error;
}

static void delay(const char *what) {
    int before = errno;
    long numbers[3] = {0, 0, 0};
    if (asked(what, numbers) >= 1) {
        struct timespec rest = {numbers[0] / 1000, numbers[0] % 1000 * 1000000};
        nanosleep(&rest, NULL);
    }
    errno = before;
}

static int write_fails(uint32_t file) {
    static atomic_long seen;
    if (!meant(file))
        return 0;
    delay("write-delay");
    return fails("write-error", &seen);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    uint32_t file = ours(fd);
    if (file == 0)
        return syscall(SYS_pwrite64, fd, bytes, count, offset);
    int error = write_fails(file);
    if (error != 0) {
        errno = error;
        return -1;
    }
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_pwrite64, fd, bytes, count, offset);
    int after = errno;
    if (done > 0)
        record(WRITE, file, (uint64_t)offset, 0, bytes, (size_t)done);
    pthread_mutex_unlock(&lock);
    errno = after;
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite64(fd, bytes, count, offset);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    uint32_t file = ours(fd);
    if (file == 0)
        return raw_write(fd, bytes, count);
    int error = write_fails(file);
    if (error != 0) {
        errno = error;
        return -1;
    }
    pthread_mutex_lock(&lock);
    off_t offset = syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t done = raw_write(fd, bytes, count);
    int after = errno;
    if (done > 0)
        record(WRITE, file, (uint64_t)offset, 0, bytes, (size_t)done);
    pthread_mutex_unlock(&lock);
    errno = after;
    return done;
}

/* Not expected of the store; if it ever is, the trace would be a lie. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (ours(fd) != 0)
        die("shim: writev on a file of the store\n");
    return syscall(SYS_writev, fd, parts, count);
}

int ftruncate64(int fd, off64_t length) {
    uint32_t file = ours(fd);
    if (file == 0)
        return (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_ftruncate, fd, length);
    int after = errno;
    if (done == 0)
        record(TRUNCATE, file, (uint64_t)length, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = after;
    return done;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int sync_any(int fd, long call) {
    static atomic_long seen;
    uint32_t file = ours(fd);
    if (file == 0)
        return (int)syscall(call, fd);
    int error = 0;
    if (meant(file)) {
        delay("sync-delay");
        error = fails("sync-error", &seen);
    }
    if (error != 0) {
        errno = error;
        return -1;
    }
    pthread_mutex_lock(&lock);
    uint64_t covers = records;
    pthread_mutex_unlock(&lock);
    int done = (int)syscall(call, fd);
    int after = errno;
    if (done == 0) {
        pthread_mutex_lock(&lock);
        record(SYNC, file, 0, covers, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    errno = after;
    return done;
}

int fsync(int fd) { return sync_any(fd, SYS_fsync); }

int fdatasync(int fd) { return sync_any(fd, SYS_fdatasync); }

/* Under the lock: a folder has another name, and so has all that is in it. */
static void move(const char *old, const char *new) {
    size_t length = strlen(old);
    for (uint32_t file = 1; file <= files; file++) {
        char *name = names[file];
        if (name == NULL || strncmp(name, old, length) != 0
            || (name[length] != '/' && name[length] != '\0'))
            continue;
        char *renamed = malloc(strlen(new) + strlen(name + length) + 1);
        if (renamed == NULL)
            die("shim: no memory\n");
        strcpy(renamed, new);
        strcat(renamed, name + length);
        names[file] = renamed;
    }
    char both[4096];
    int count = snprintf(both, sizeof both, "%s%c%s", old, '\0', new);
    if (count < 0 || (size_t)count >= sizeof both)
        die("shim: a name is too long\n");
    record(MOVE, 0, 0, 0, both, (size_t)count);
}

int rename(const char *from, const char *to) {
    const char *old = inside(from), *new = inside(to);
    if (old == NULL || new == NULL)
        return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    int after = errno;
    struct stat facts;
    if (done == 0 && stat(to, &facts) == 0 && S_ISDIR(facts.st_mode)) {
        move(old, new);
    } else if (done == 0) {
        uint32_t file = known_file(old);
        uint32_t replaced = file_of(new);
        if (replaced != 0)
            names[replaced] = NULL;
        names[file] = strdup(new);
        record(RENAME, file, 0, 0, new, strlen(new));
    }
    pthread_mutex_unlock(&lock);
    errno = after;
    return done;
}

int unlink(const char *path) {
    const char *name = inside(path);
    if (name == NULL)
        return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    int after = errno;
    if (done == 0) {
        /* Perhaps a process before this one made it. */
        forget(known_file(name));
    }
    pthread_mutex_unlock(&lock);
    errno = after;
    return done;
}

/* How whole folders are removed. */
int unlinkat(int folder, const char *path, int flags) {
    char full[4096], link[64];
    if (folder == AT_FDCWD || *path == '/') {
        snprintf(full, sizeof full, "%s", path);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t count = readlink(link, full, sizeof full - 1);
        if (count < 0 || (size_t)count + strlen(path) + 2 > sizeof full)
            die("shim: a folder without a name\n");
        full[count] = '/';
        strcpy(full + count + 1, path);
    }
    const char *name = inside(full);
    if (name == NULL)
        return (int)syscall(SYS_unlinkat, folder, path, flags);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_unlinkat, folder, path, flags);
    int after = errno;
    if (done == 0)
        forget(known(name, flags & AT_REMOVEDIR ? FOLDER : NAME));
    pthread_mutex_unlock(&lock);
    errno = after;
    return done;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int done = (int)syscall(SYS_clock_gettime, clock, now);
    long offset[3] = {0, 0, 0};
    if (done == 0 && clock == CLOCK_REALTIME && asked("clock", offset) >= 1)
        now->tv_sec += offset[0];
    return done;
}

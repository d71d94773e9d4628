/*
 * Preloaded into the game: turns it into a lock-step frame server.
 *
 * At every glXSwapBuffers the finished picture is averaged down 2x2 into shared memory, with the
 * camera's matrix and, if asked for, the depth buffer; one byte is written to the "done" pipe, and
 * the game stands still until a byte arrives on the "go" pipe. While the gate is closed no game time
 * passes: the monotonic clock is a counter that advances by exactly step_us for every released frame.
 *
 * The controller's death closes the "go" pipe, and the game exits: nothing keeps running unowned.
 *
 * Environment: NFD_SHIM = "SHM_FD GO_FD DONE_FD SALT".  Without it every call is passed on untouched.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Kept in step with gate.py. Widths are fixed so that Python can read it with struct offsets. */
struct header {
    uint32_t magic;      /*  0 written last by the game when it has attached            */
    uint32_t gated;      /*  4 set by the controller: stop at the next swap             */
    uint32_t width;      /*  8 of the picture in shared memory (half the window)        */
    uint32_t height;     /* 12 */
    uint64_t frame;      /* 16 pictures delivered                                       */
    int64_t step_us;     /* 24 game time per released frame                             */
    int64_t clock_us;    /* 32 the virtual clock; 0 while the game runs in real time    */
    uint64_t capacity;   /* 40 bytes for pixels, written by the controller              */
    uint32_t depth;      /* 48 set by the controller: append the depth buffer           */
    uint32_t patience;   /* 52 us for which a picture may wait for block meshes         */
    uint64_t meshes;     /* 56 how often the mesh maker has been woken                  */
    float view[16];      /* 64 world to camera, column by column, in tenths of a metre  */
};
#define MAGIC 0x4e464447u
#define PIXELS 128
#define NEAR 0.1f        /* the game's clipping planes in metres */
#define FAR 2000.0f

/* The GL names we need, so that no GL headers have to be installed. */
enum {
    GL_VIEWPORT = 0x0BA2, GL_PACK_ALIGNMENT = 0x0D05, GL_BGRA = 0x80E1, GL_UNSIGNED_BYTE = 0x1401,
    GL_DEPTH_COMPONENT = 0x1902, GL_FLOAT = 0x1406, GL_MODELVIEW = 0x1700, GL_PROJECTION = 0x1701
};
static void (*gl_get)(unsigned, int *);
static void (*gl_pack)(unsigned, int);
static void (*gl_read)(int, int, int, int, unsigned, unsigned, void *);
static void (*real_swap)(void *, unsigned long);

static struct header *shared;
static int go_fd, done_fd;
static int64_t salt;
static pid_t main_thread;
static uint8_t *window_pixels;
static float *window_depth;
static size_t window_bytes;
static int (*real_usleep)(useconds_t);
static int (*real_nanosleep)(const struct timespec *, struct timespec *);
static int (*real_sem_timedwait)(sem_t *, const struct timespec *);

static int on_main_thread(void) { return syscall(SYS_gettid) == main_thread; }

static int64_t monotonic_us(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC_RAW, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t game_us(void) { return shared->clock_us ? shared->clock_us : monotonic_us(); }

__attribute__((constructor)) static void attach(void) {
    int shm_fd;
    long number;
    real_usleep = dlsym(RTLD_NEXT, "usleep");
    real_nanosleep = dlsym(RTLD_NEXT, "nanosleep");
    main_thread = getpid();
    const char *spec = getenv("NFD_SHIM");
    if (!spec || sscanf(spec, "%d %d %d %ld", &shm_fd, &go_fd, &done_fd, &number) != 4) return;
    salt = number;
    off_t size = lseek(shm_fd, 0, SEEK_END);
    void *memory = size < PIXELS ? MAP_FAILED
                                 : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, shm_fd, 0);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "nfd shim: cannot map the shared memory\n");
        _exit(97);
    }
    shared = memory;
    shared->magic = MAGIC;
}

/* ---- the clock ------------------------------------------------------------------------------ */

int clock_gettime(clockid_t clock, struct timespec *out) {
    if (shared && (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_BOOTTIME)) {
        int64_t us = game_us();
        out->tv_sec = us / 1000000;
        out->tv_nsec = us % 1000000 * 1000;
        return 0;
    }
    return syscall(SYS_clock_gettime, clock, out);
}

/* Only the main thread may see a virtual wall clock: the engine's semaphores in other threads wait
 * until an absolute real time, and would sleep forever or not at all. */
int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    if (shared && on_main_thread()) {
        int64_t us = game_us();
        out->tv_sec = 1600000000 + us / 1000000;
        out->tv_usec = us % 1000000;
        return 0;
    }
    return syscall(SYS_gettimeofday, out, zone);
}

/* The game seeds the choice of its UDP port with time(): two games started within one second would
 * take the same port. The salt differs per instance. */
time_t time(time_t *out) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    time_t value = now.tv_sec + (shared && on_main_thread() ? salt : 0);
    if (out) *out = value;
    return value;
}

/* Frame limiters must not sleep: the gate sets the pace. */
int usleep(useconds_t us) {
    return shared && shared->clock_us && on_main_thread() ? 0 : real_usleep(us);
}
int nanosleep(const struct timespec *want, struct timespec *left) {
    return shared && shared->clock_us && on_main_thread() ? 0 : real_nanosleep(want, left);
}

/* The other threads run in real time, but they must not give up waiting for the main thread because
 * the controller took long to think: time for which the gate was closed is added to their deadlines.
 * (The mesh maker waits one second for a texture, and would go on without it.) */
static volatile int64_t parked_us, parked_since_us;

static int64_t parked_so_far(void) {
    int64_t since = parked_since_us;
    return parked_us + (since ? monotonic_us() - since : 0);
}

int sem_timedwait(sem_t *restrict sem, const struct timespec *restrict until) {
    if (!real_sem_timedwait) real_sem_timedwait = dlsym(RTLD_NEXT, "sem_timedwait");
    if (!shared || !shared->clock_us || on_main_thread()) return real_sem_timedwait(sem, until);
    int64_t deadline = (int64_t)until->tv_sec * 1000000 + until->tv_nsec / 1000;
    int64_t before = parked_so_far(), granted = 0;
    for (;;) {
        int64_t at = deadline + granted;
        struct timespec extended = {at / 1000000, at % 1000000 * 1000};
        int result = real_sem_timedwait(sem, &extended);
        if (result == 0 || errno != ETIMEDOUT) return result;
        int64_t parked = parked_so_far() - before;
        if (parked <= granted) { /* the main thread has had its time */
            errno = ETIMEDOUT;
            return -1;
        }
        granted = parked;
    }
}

/* ---- block meshes ---------------------------------------------------------------------------
 * Another thread builds the meshes of blocks, woken by a semaphore. A picture waits until it has
 * worked off everything, so that a change is drawn in the frame after it, never later. */

static pthread_mutex_t mesh_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t *mesh_sem;
static uint64_t mesh_done; /* of shared->meshes */
static int (*real_sem_wait)(sem_t *), (*real_sem_post)(sem_t *);

static int is_mesh_thread(void) {
    static __thread char name[16];
    if (!name[0]) prctl(PR_GET_NAME, name);
    return !strncmp(name, "MeshUpdate", 10);
}

int sem_wait(sem_t *sem) {
    if (!real_sem_wait) real_sem_wait = dlsym(RTLD_NEXT, "sem_wait");
    if (shared && is_mesh_thread()) {
        int value = 1;
        pthread_mutex_lock(&mesh_lock);
        mesh_sem = sem;
        sem_getvalue(sem, &value);
        if (value == 0) mesh_done = shared->meshes;
        pthread_mutex_unlock(&mesh_lock);
    }
    return real_sem_wait(sem);
}

int sem_post(sem_t *sem) {
    if (!real_sem_post) real_sem_post = dlsym(RTLD_NEXT, "sem_post");
    if (!shared || sem != mesh_sem) return real_sem_post(sem);
    pthread_mutex_lock(&mesh_lock);
    shared->meshes++;
    int result = real_sem_post(sem);
    pthread_mutex_unlock(&mesh_lock);
    return result;
}

static void wait_for_meshes(void) {
    int64_t until = monotonic_us() + shared->patience;
    for (;;) {
        pthread_mutex_lock(&mesh_lock);
        int done = mesh_done == shared->meshes;
        pthread_mutex_unlock(&mesh_lock);
        if (done || monotonic_us() >= until) return;
        real_usleep(50);
    }
}

/* ---- the network: nothing but loopback ---------------------------------------------------------- */

int bind(int fd, const struct sockaddr *address, socklen_t length) {
    static int (*real_bind)(int, const struct sockaddr *, socklen_t);
    if (!real_bind) real_bind = dlsym(RTLD_NEXT, "bind");
    struct sockaddr_storage local = {0};
    if (!shared || !address || length > sizeof local) return real_bind(fd, address, length);
    memcpy(&local, address, length);
    if (local.ss_family == AF_INET)
        ((struct sockaddr_in *)&local)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (local.ss_family == AF_INET6) ((struct sockaddr_in6 *)&local)->sin6_addr = in6addr_loopback;
    return real_bind(fd, (struct sockaddr *)&local, length);
}

/* ---- the picture ---------------------------------------------------------------------------- */

static void *gl(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) {
        fprintf(stderr, "nfd shim: the game has no %s\n", name);
        _exit(98);
    }
    return found;
}

/* 2x2 box average, BGRA bottom-up to RGB top-down. */
static void reduce(const uint8_t *source, int width, int height, uint8_t *out) {
    size_t row = (size_t)width * 4;
    for (int y = 0; y < height / 2; y++) {
        const uint8_t *lower = source + (size_t)(height - 2 - 2 * y) * row, *upper = lower + row;
        for (int x = 0; x < width / 2; x++, lower += 8, upper += 8)
            for (int c = 2; c >= 0; c--)
                *out++ = (lower[c] + lower[c + 4] + upper[c] + upper[c + 4] + 2) >> 2;
    }
}

/* The camera is the first model-view matrix that is loaded after a perspective projection. */
static unsigned matrix_mode;
static int perspective;

void glMatrixMode(unsigned mode) {
    static void (*real)(unsigned);
    if (!real) real = gl("glMatrixMode");
    real(matrix_mode = mode);
}

void glLoadMatrixf(const float *matrix) {
    static void (*real)(const float *);
    if (!real) real = gl("glLoadMatrixf");
    if (matrix_mode == GL_PROJECTION) perspective = matrix[15] == 0;
    if (shared && matrix_mode == GL_MODELVIEW && perspective) {
        memcpy(shared->view, matrix, sizeof shared->view);
        perspective = 0;
    }
    real(matrix);
}

/* Inverse depth of the second nearest of each 2x2, 16384 per 1/metre, 0 for the sky: a value from one
 * side of an edge, never one between both. */
static void reduce_depth(const float *source, int width, int height, uint16_t *out) {
    for (int y = 0; y < height / 2; y++)
        for (int x = 0; x < width / 2; x++) {
            const float *at = source + (size_t)(height - 2 - 2 * y) * width + 2 * x;
            float a = at[0], b = at[1], c = at[width], d = at[width + 1];
            float low = a < b ? a : b, high = a < b ? b : a, low2 = c < d ? c : d, high2 = c < d ? d : c;
            float second = low < low2 ? (high < low2 ? high : low2) : (high2 < low ? high2 : low);
            float inverse = 16384.0f * (FAR - second * (FAR - NEAR)) / (NEAR * FAR);
            *out++ = second >= 1.0f ? 0 : inverse > 65535.0f ? 65535 : (uint16_t)(inverse + 0.5f);
        }
}

static void capture(void) {
    int view[4];
    if (!gl_read) {
        gl_get = gl("glGetIntegerv");
        gl_pack = gl("glPixelStorei");
        gl_read = gl("glReadPixels");
    }
    gl_get(GL_VIEWPORT, view);
    size_t bytes = (size_t)view[2] * view[3] * 4, pixels = (size_t)(view[2] / 2) * (view[3] / 2);
    if (view[2] < 2 || view[3] < 2 || pixels * (shared->depth ? 5 : 3) > shared->capacity) {
        fprintf(stderr, "nfd shim: a window of %dx%d does not fit\n", view[2], view[3]);
        _exit(99);
    }
    if (bytes > window_bytes) {
        window_pixels = realloc(window_pixels, bytes);
        window_depth = realloc(window_depth, bytes);
        if (!window_pixels || !window_depth) _exit(96);
        window_bytes = bytes;
    }
    gl_pack(GL_PACK_ALIGNMENT, 1);
    gl_read(0, 0, view[2], view[3], GL_BGRA, GL_UNSIGNED_BYTE, window_pixels);
    reduce(window_pixels, view[2], view[3], (uint8_t *)shared + PIXELS);
    if (shared->depth) {
        gl_read(0, 0, view[2], view[3], GL_DEPTH_COMPONENT, GL_FLOAT, window_depth);
        uint8_t *after = (uint8_t *)shared + PIXELS + 3 * pixels;
        reduce_depth(window_depth, view[2], view[3], (uint16_t *)after);
    }
    shared->width = view[2] / 2;
    shared->height = view[3] / 2;
}

/* ---- the gate ------------------------------------------------------------------------------- */

static void hand_over(void) {
    char byte = 1;
    ssize_t n;
    do n = write(done_fd, &byte, 1); while (n < 0 && errno == EINTR);
    if (n != 1) _exit(0);
    parked_since_us = monotonic_us();
    do n = read(go_fd, &byte, 1); while (n < 0 && errno == EINTR);
    if (n != 1) _exit(0); /* the controller is gone */
    parked_us += monotonic_us() - parked_since_us;
    parked_since_us = 0;
}

void glXSwapBuffers(void *display, unsigned long drawable) {
    if (!real_swap) real_swap = gl("glXSwapBuffers");
    if (!shared || !shared->gated) {
        real_swap(display, drawable);
        return;
    }
    capture();
    wait_for_meshes();
    shared->frame++;
    if (!shared->clock_us) shared->clock_us = monotonic_us();
    hand_over(); /* nobody looks at the X window itself, so it is never swapped */
    shared->clock_us += shared->step_us;
}

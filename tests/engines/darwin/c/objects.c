/* Switches, counted objects, blocks, and libdispatch. */
#include "double.h"

/* ---- switches ---- */

static const char *const switch_names[] = {SWITCHES(AS_TEXT)};
atomic_int switches[SWITCH_COUNT];
atomic_long uses[SWITCH_COUNT];
static atomic_ullong randomness = 1;

unsigned draw(unsigned below) {
    unsigned long long x = atomic_load(&randomness), next;
    do {
        next = x ^ (x << 13);
        next ^= next >> 7;
        next ^= next << 17;
    } while (!atomic_compare_exchange_weak(&randomness, &x, next));
    return below ? (unsigned)(next >> 33) % below : 0;
}

/* Whether a switch does something now: 1 always, n once in n times. */
bool does(int which) {
    int chance = atomic_load(&switches[which]);
    if (chance == 0 || draw((unsigned)chance) != 0) return false;
    atomic_fetch_add(&uses[which], 1);
    return true;
}

static int switch_of(const char *name) {
    for (int i = 0; i < SWITCH_COUNT; i++)
        if (strcmp(name, switch_names[i]) == 0) return i;
    return -1;
}

int double_set(const char *name, int chance) {
    int which = switch_of(name);
#ifdef REMOVED
    if (which == REMOVED) chance = 0;
#endif
    if (which >= 0) atomic_store(&switches[which], chance), atomic_store(&uses[which], 0);
    return which;
}

long double_uses(const char *name) { return atomic_load(&uses[switch_of(name)]); }
const char *double_switch(int number) { return number < SWITCH_COUNT ? switch_names[number] : NULL; }
void double_seed(unsigned long long seed) { atomic_store(&randomness, seed * 2654435761u + 88172645463325252ull); }

/* ---- objects ---- */

static const char *const kind_names[] = {KINDS(AS_TEXT)};
atomic_long alive[KIND_COUNT];

long double_alive(const char *name) {
    for (int i = 0; i < KIND_COUNT; i++)
        if (strcmp(name, kind_names[i]) == 0) return atomic_load(&alive[i]);
    return -1;
}
const char *double_kind(int number) { return number < KIND_COUNT ? kind_names[number] : NULL; }

void *make(int kind, size_t size, void (*end)(void *)) {
    object *made = calloc(1, size);
    made->kind = kind;
    made->references = 1;
    made->end = end;
    atomic_fetch_add(&alive[kind], 1);
    return made;
}

void *retain(void *one) {
    if (one) atomic_fetch_add(&((object *)one)->references, 1);
    return one;
}

void release(void *one) {
    object *its = one;
    if (!its) return;
    int before = atomic_fetch_sub(&its->references, 1);
    if (before < 1) {
        fprintf(stderr, "double: released too often: %s\n", kind_names[its->kind]);
        abort();
    }
    if (before == 1 && its->kind == a_queue) {
        its->end(one); /* its thread does the rest */
    } else if (before == 1) {
        if (its->end) its->end(one);
        atomic_fetch_sub(&alive[its->kind], 1);
        free(one);
    }
}

void *nw_retain(void *one) { return retain(one); }
void nw_release(void *one) { release(one); }
void dispatch_retain(void *one) { retain(one); }
void dispatch_release(void *one) { release(one); }

/* ---- blocks ---- */

void *_NSConcreteStackBlock[32], *_NSConcreteMallocBlock[32], *_NSConcreteGlobalBlock[32];

typedef struct counted { atomic_int references; } counted;
#define HEAD 16 /* before a copied block */
static counted *count_of(block *one) { return (counted *)((char *)one - HEAD); }

void *_Block_copy(const void *given) {
    block *one = (block *)given;
    if (!one || one->flags & IS_GLOBAL) return one;
    if (one->isa == _NSConcreteMallocBlock) {
        atomic_fetch_add(&count_of(one)->references, 1);
        return one;
    }
    block *copy = (block *)((char *)calloc(1, HEAD + one->descriptor->size) + HEAD);
    memcpy(copy, one, one->descriptor->size);
    copy->isa = _NSConcreteMallocBlock;
    count_of(copy)->references = 1;
    atomic_fetch_add(&alive[a_block], 1);
    if (one->flags & HAS_COPY_DISPOSE) one->descriptor->copy(copy, one);
    return copy;
}

void _Block_release(const void *given) {
    block *one = (block *)given;
    if (!one || one->flags & IS_GLOBAL) return;
    if (atomic_fetch_sub(&count_of(one)->references, 1) != 1) return;
    if (one->flags & HAS_COPY_DISPOSE) one->descriptor->dispose(one);
    memset(one, 0xee, one->descriptor->size); /* whoever comes later crashes */
    free(count_of(one));
    atomic_fetch_sub(&alive[a_block], 1);
}

static void do_nothing(void *one, ...) { (void)one; }
static descriptor plain = {0, sizeof(block), NULL, NULL};
static block default_configuration = {_NSConcreteGlobalBlock, IS_GLOBAL, 0, do_nothing, &plain};
block disabled = {_NSConcreteGlobalBlock, IS_GLOBAL, 0, do_nothing, &plain};
const void *_nw_parameters_configure_protocol_default_configuration = &default_configuration;
const void *_nw_parameters_configure_protocol_disable = &disabled;

/* ---- queues: a thread that runs one job after another ---- */

struct queue {
    object its;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    job *jobs;
    bool is_over;
};

long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000ll + time.tv_nsec / 1000;
}

/* The first job that is due; a late one lets others pass. */
static job *take(queue *on) {
    for (;;) {
        long long time = now(), first = 0;
        for (job **at = &on->jobs; *at; at = &(*at)->next) {
            if ((*at)->due <= time) {
                job *found = *at;
                *at = found->next;
                return found;
            }
            if (!first || (*at)->due < first) first = (*at)->due;
        }
        if (!first && on->is_over) return NULL;
        if (!first) {
            pthread_cond_wait(&on->changed, &on->lock);
        } else {
            struct timespec until = {first / 1000000, first % 1000000 * 1000};
            pthread_cond_timedwait(&on->changed, &on->lock, &until);
        }
    }
}

static void *serve_queue(void *given) {
    queue *on = given;
    pthread_mutex_lock(&on->lock);
    for (job *one; (one = take(on));) {
        pthread_mutex_unlock(&on->lock);
        one->run(one);
        _Block_release(one->block);
        release(one->content);
        release(one->error);
        release(one->connection);
        free(one);
        pthread_mutex_lock(&on->lock);
    }
    pthread_mutex_unlock(&on->lock);
    atomic_fetch_sub(&alive[a_queue], 1);
    atomic_fetch_sub(&alive[a_thread], 1);
    free(on);
    return NULL;
}

void start_thread(void *(*serve)(void *), void *with) {
    pthread_t thread;
    atomic_fetch_add(&alive[a_thread], 1);
    pthread_create(&thread, NULL, serve, with);
    pthread_detach(thread);
}

static void end_queue(void *one) {
    queue *this = one;
    pthread_mutex_lock(&this->lock);
    this->is_over = true;
    pthread_cond_signal(&this->changed);
    pthread_mutex_unlock(&this->lock);
}

void *dispatch_queue_create(const char *label, void *attribute) {
    (void)label, (void)attribute;
    queue *made = make(a_queue, sizeof(queue), end_queue);
    pthread_condattr_t clock;
    pthread_mutex_init(&made->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&made->changed, &clock);
    start_thread(serve_queue, made);
    return made;
}

void post(queue *on, job *one, unsigned late) {
    one->due = late ? now() + late : 0;
    pthread_mutex_lock(&on->lock);
    job **at = &on->jobs;
    while (*at) at = &(*at)->next;
    *at = one;
    pthread_cond_signal(&on->changed);
    pthread_mutex_unlock(&on->lock);
}

typedef struct errand {
    job its;
    void (*function)(void *);
    void *with;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done;
} errand;

static void run_errand(job *one) {
    errand *this = one->context;
    this->function(this->with);
    pthread_mutex_lock(&this->lock);
    this->is_done = true;
    pthread_cond_signal(&this->changed);
    pthread_mutex_unlock(&this->lock);
}

void dispatch_sync_f(void *on, void *with, void (*function)(void *)) {
    errand this = {.function = function, .with = with};
    pthread_mutex_init(&this.lock, NULL);
    pthread_cond_init(&this.changed, NULL);
    job *one = calloc(1, sizeof(job));
    one->run = run_errand;
    one->context = &this;
    post(on, one, 0);
    pthread_mutex_lock(&this.lock);
    while (!this.is_done) pthread_cond_wait(&this.changed, &this.lock);
    pthread_mutex_unlock(&this.lock);
}

/* ---- data: one region, or several behind one another ---- */

static void end_data(void *one) {
    data *this = one;
    release(this->parts[0]);
    release(this->parts[1]);
    free(this->bytes);
}

void *dispatch_data_create(const void *bytes, size_t size, void *on, void *destructor) {
    (void)on, (void)destructor;
    data *made = make(a_data, sizeof(data), end_data);
    made->size = size;
    made->bytes = malloc(size ? size : 1);
    memcpy(made->bytes, bytes, size);
    return made;
}

data *concatenated(data *first, data *second) {
    data *made = make(a_data, sizeof(data), end_data);
    made->size = first->size + second->size;
    made->parts[0] = first;
    made->parts[1] = second;
    return made;
}

static void gather(data *one, char *into) {
    if (one->bytes) {
        memcpy(into, one->bytes, one->size);
    } else {
        gather(one->parts[0], into);
        gather(one->parts[1], into + one->parts[0]->size);
    }
}

size_t dispatch_data_get_size(data *one) { return one->size; }

void *dispatch_data_create_map(data *one, const void **bytes, size_t *size) {
    data *made = make(a_data, sizeof(data), end_data);
    made->size = one->size;
    made->bytes = malloc(one->size ? one->size : 1);
    gather(one, made->bytes);
    *bytes = made->bytes;
    *size = one->size;
    return made;
}


/* The peer that hot_loops.py compares with: three descents by hand, one seed after the other, every step in registers
   and cache. Compiled once for each shape and precision (-DN=64 -DD=16 ... -DDOUBLE), as XLA compiles for each.

   Vectors are GCC's own (vector_size), a full register wide. exp is a polynomial of the reduced argument, to the last
   bits of the precision, with no table and no branch. Data are laid out before the clock starts, as each function says. */

#include <stddef.h>
#include <string.h>

#ifdef DOUBLE
typedef double T;
typedef long long I;
#define MAGIC 6755399441055744.0 /* 1.5 * 2^52: adding it rounds to a whole number */
#define MANTISSA 52
#define BOUND 708.0
#else
typedef float T;
typedef int I;
#define MAGIC 12582912.0f /* 1.5 * 2^23 */
#define MANTISSA 23
#define BOUND 87.0f
#endif

#ifdef __AVX512F__
#define BYTES 64
#else
#define BYTES 32
#endif
#define VL ((int)(BYTES / sizeof(T)))
typedef T V __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));
typedef I W __attribute__((vector_size(BYTES)));
#define UNROLL _Pragma("GCC unroll 64")
#define AT(p) (*(const V *)(p))

static inline V spread(T a) { return a - (V){}; }
#if defined __AVX512F__ && defined DOUBLE
#include <immintrin.h>
#define smaller(a, b) ((V)_mm512_min_pd((__m512d)(a), (__m512d)(b)))
#define larger(a, b) ((V)_mm512_max_pd((__m512d)(a), (__m512d)(b)))
#elif defined __AVX512F__
#include <immintrin.h>
#define smaller(a, b) ((V)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define larger(a, b) ((V)_mm512_max_ps((__m512)(a), (__m512)(b)))
#else
static inline V choose(W mask, V a, V b) { return (V)((mask & (W)a) | (~mask & (W)b)); }
#define smaller(a, b) choose((a) < (b), a, b)
#define larger(a, b) choose((a) > (b), a, b)
#endif

static inline V exponential(V x) {
    x = larger(smaller(x, spread(BOUND)), spread(-BOUND));
    V t = x * (T)1.44269504088896340736 + (T)MAGIC;
    V k = t - (T)MAGIC;
#ifdef DOUBLE
    V r = x - k * 6.93147180369123816490e-01;
    r = r - k * 1.90821492927058770002e-10;
    V y = spread(1.0 / 479001600);
    const T c[] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
                   1.0 / 120,      1.0 / 24,      1.0 / 6,      0.5,         1.0,        1.0};
#else
    V r = x - k * 0.693359375f;
    r = r + k * 2.12194440e-4f;
    V y = spread(1.9875691500e-4f); /* Cephes, expf */
    const T c[] = {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f, 1.0f, 1.0f};
#endif
    UNROLL for (size_t i = 0; i < sizeof c / sizeof *c; i++) y = y * r + c[i];
    return (V)((W)y + ((W)t << MANTISSA)); /* the low bits of t hold k */
}

/* The weight of a margin in the logistic loss, 1/(1 + exp(u)). */
static inline V weight(V u) { return 1 / (1 + exponential(u)); }

/* One vector, whose lane j is the sum of v[j], from VL vectors. */
static inline V sums(V *v) {
    W even, odd;
    UNROLL for (int i = 0; i < VL; i++) even[i] = 2 * i, odd[i] = 2 * i + 1;
    UNROLL for (int m = VL; m > 1; m /= 2)
        UNROLL for (int i = 0; i < m / 2; i++)
            v[i] = __builtin_shuffle(v[2 * i], v[2 * i + 1], even) + __builtin_shuffle(v[2 * i], v[2 * i + 1], odd);
    return v[0];
}

#ifdef LOGISTIC
/* Both layouts, x (n, d) and its transpose (d, n), one after the other: no sum across lanes at all. For small data.
   As many independent sums as hide the latency of a multiply-add: eight or more. */
#define TILE (N / VL < 8 ? N / VL : 8)
#define COLUMNS (2 * VL > D ? 1 : 2)
#define CHAINS (8 / COLUMNS)
void two_copies(const T *data, T *w_all, long seeds, long steps, T eta) {
    for (long seed = 0; seed < seeds; seed++) {
        const T *x = data + seed * 2 * N * D, *xt = x + N * D;
        T *w = w_all + seed * D, s[N] __attribute__((aligned(64)));
        for (long step = 0; step < steps; step++) {
            for (int i = 0; i < N; i += TILE * VL) {
                V u[2][TILE] = {};
                for (int j = 0; j < D; j += 2)
                    UNROLL for (int k = 0; k < TILE; k++) {
                        u[0][k] += w[j] * AT(xt + j * N + i + k * VL);
                        u[TILE < 8][k] += w[j + 1] * AT(xt + (j + 1) * N + i + k * VL);
                    }
                UNROLL for (int k = 0; k < TILE; k++) *(V *)(s + i + k * VL) = weight(u[0][k] + u[1][k]);
            }
            for (int j = 0; j < D; j += COLUMNS * VL) {
                V g[CHAINS][COLUMNS] = {};
                for (int i = 0; i < N; i += CHAINS)
                    UNROLL for (int r = 0; r < CHAINS; r++)
                        UNROLL for (int c = 0; c < COLUMNS; c++) g[r][c] += s[i + r] * AT(x + (i + r) * D + j + c * VL);
                UNROLL for (int m = CHAINS / 2; m > 0; m /= 2)
                    UNROLL for (int r = 0; r < m; r++)
                        UNROLL for (int c = 0; c < COLUMNS; c++) g[r][c] += g[r + m][c];
                UNROLL for (int c = 0; c < COLUMNS; c++) *(V *)(w + j + c * VL) += eta * g[0][c];
            }
        }
    }
}

/* One copy in tiles of samples, (n/tile, d, tile): x is read once a step from the slower cache. For large data. */
#define ROWS 4
void tiles(const T *data, T *w_all, long seeds, long steps, T eta) {
    for (long seed = 0; seed < seeds; seed++) {
        T *w = w_all + seed * D;
        for (long step = 0; step < steps; step++) {
            V g[D] = {};
            for (int i = 0; i < N; i += ROWS * VL) {
                const T *x = data + seed * N * D + (size_t)i * D;
                V u[ROWS] = {}, s[ROWS];
                for (int j = 0; j < D; j++) UNROLL for (int k = 0; k < ROWS; k++) u[k] += w[j] * AT(x + (j * ROWS + k) * VL);
                UNROLL for (int k = 0; k < ROWS; k++) s[k] = weight(u[k]);
                for (int j = 0; j < D; j++) {
                    V a = s[0] * AT(x + j * ROWS * VL), b = s[1] * AT(x + (j * ROWS + 1) * VL);
                    a += s[2] * AT(x + (j * ROWS + 2) * VL), b += s[3] * AT(x + (j * ROWS + 3) * VL);
                    g[j] += a + b;
                }
            }
            for (int j = 0; j < D; j += VL) *(V *)(w + j) += eta * sums(g + j);
        }
    }
}
#endif

#ifdef ATTENTION
/* Sequences on the lanes: tokens (n/VL, L, d, VL), then scores (n/VL, L, VL). */
void attention(const T *data, T *w_all, long seeds, long steps, T eta) {
    for (long seed = 0; seed < seeds; seed++) {
        const T *all = data + seed * (N * L * D + N * L), *scores = all + N * L * D;
        T *w = w_all + seed * D;
        for (long step = 0; step < steps; step++) {
            V g[D] = {};
            for (int i = 0; i < N; i += VL) {
                const T *x = all + i * L * D, *score = scores + i * L;
                V z[L] = {}, top, total = {}, u = {}, c;
                for (int j = 0; j < D; j++) UNROLL for (int t = 0; t < L; t++) z[t] += w[j] * AT(x + (t * D + j) * VL);
                top = z[0];
                UNROLL for (int t = 1; t < L; t++) top = larger(top, z[t]);
                UNROLL for (int t = 0; t < L; t++) {
                    z[t] = exponential(z[t] - top);
                    total += z[t];
                    u += z[t] * AT(score + t * VL);
                }
                total = 1 / total, u *= total, c = weight(u) * total;
                UNROLL for (int t = 0; t < L; t++) z[t] *= c * (AT(score + t * VL) - u);
                for (int j = 0; j < D; j++) {
                    V a = g[j];
                    UNROLL for (int t = 0; t < L; t++) a += z[t] * AT(x + (t * D + j) * VL);
                    g[j] = a;
                }
            }
            for (int j = 0; j < D; j += VL) *(V *)(w + j) += eta * sums(g + j);
        }
    }
}
#endif

#ifdef NETWORK
/* Hidden units on the lanes: x (n, d) with the label folded into the output, weights (d, m) and then outputs (m). */
#define MV (M / VL)
#define R 4
void network(const T *data, T *w_all, long seeds, long steps, T eta) {
    static T delta[N * M] __attribute__((aligned(64)));
    for (long seed = 0; seed < seeds; seed++) {
        const T *x = data + seed * (N * D + N), *label = x + N * D;
        T *w = w_all + seed * (D * M + M), *a = w + D * M;
        for (long step = 0; step < steps; step++) {
            V ga[MV] = {};
            for (int i = 0; i < N; i += R) {
                V z[R][MV] = {};
                for (int j = 0; j < D; j++)
                    UNROLL for (int r = 0; r < R; r++)
                        UNROLL for (int k = 0; k < MV; k++) z[r][k] += x[(i + r) * D + j] * AT(w + j * M + k * VL);
                T u[R];
                UNROLL for (int r = 0; r < R; r++) {
                    V sum = {};
                    UNROLL for (int k = 0; k < MV; k++) {
                        z[r][k] = 1 - 2 / (1 + exponential(2 * z[r][k])); /* tanh */
                        sum += z[r][k] * AT(a + k * VL);
                    }
                    u[r] = 0;
                    UNROLL for (int l = 0; l < VL; l++) u[r] += sum[l];
                }
                V c = {};
                UNROLL for (int r = 0; r < R; r++) c[r] = label[i + r] * u[r];
                c = weight(c);
                UNROLL for (int r = 0; r < R; r++) {
                    T b = c[r] * label[i + r];
                    UNROLL for (int k = 0; k < MV; k++) {
                        ga[k] += b * z[r][k];
                        *(V *)(delta + (i + r) * M + k * VL) = b * AT(a + k * VL) * (1 - z[r][k] * z[r][k]);
                    }
                }
            }
            for (int j = 0; j < D; j += R) {
                V g[R][MV] = {};
                for (int i = 0; i < N; i++)
                    UNROLL for (int r = 0; r < R; r++)
                        UNROLL for (int k = 0; k < MV; k++) g[r][k] += x[i * D + j + r] * AT(delta + i * M + k * VL);
                UNROLL for (int r = 0; r < R; r++)
                    UNROLL for (int k = 0; k < MV; k++) *(V *)(w + (j + r) * M + k * VL) += eta * g[r][k];
            }
            UNROLL for (int k = 0; k < MV; k++) *(V *)(a + k * VL) += eta * ga[k];
        }
    }
}
#endif

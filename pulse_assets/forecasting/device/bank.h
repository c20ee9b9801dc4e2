/* The filters of bank.py and what they say at the end of a series, as C99 that CUDA takes as well.
 *
 * Everything is written out for one filter: one thread walks one filter over one series, its state in registers (the
 * places of a season in memory), and a second pass picks the filter of each family that lost least. Filters of a
 * series share nothing but its observations and its least-squares slope, which each sums for itself.
 *
 * Bits: the same operations in the same order as the numba kernels, so compile without contraction into fused
 * multiply-adds (-ffp-contract=off, --fmad=false) and without fast math. Only + - * / and comparisons of doubles, which
 * IEEE 754 rounds in one way everywhere; logarithms, exponentials and powers are the host's, before and after.
 *
 * Layout: the series is the last, fastest axis of every array, so neighbouring threads read neighbouring numbers. A
 * slot is a place in the state of one series; slot k of series s lies at state[k * series + s].
 *
 * Grids, sizes and slots (PULSE_...) come from device_source(), which puts them in front. No loop over
 * origins, no autoregression and no loss of forecasts belongs here.
 */

#ifndef PULSE_LEVELS
#error "this header lacks its grids: compile the text of pulse_assets.forecasting.device.device_source()"
#endif
#ifdef __FAST_MATH__
#error "fast math changes the order of operations and with it the bits of forecasts"
#endif

#ifdef __CUDACC__
#define PULSE_DEVICE __device__ static inline
#define PULSE_GRID static __constant__ double
#define PULSE_KERNEL extern "C" __global__ void
#define PULSE_EACH_THREAD(i, threads)                                     \
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; \
    if (i < (threads))
#else
#include <math.h>
#define PULSE_DEVICE static inline
#define PULSE_GRID static const double
#define PULSE_KERNEL void
#define PULSE_EACH_THREAD(i, threads) for (long long i = 0; i < (threads); ++i)
#endif

PULSE_GRIDS /* LEVEL_GAIN[PULSE_LEVELS] and so on, by the names of bank.py */

/* One channel of one series as one thread sees it; both pointers stand on that series already. */
typedef struct {
    const double *x;
    double *state;
    long long step;  /* from one observation or slot to the next: the number of series */
    long long count; /* observations that the channel sees */
    long long m;     /* length of the season, where there is one */
} PulseSeries;

/* Level, slope and half the length of a season, from the first two seasons. */
typedef struct {
    double early, late, slope, half;
} PulseStart;

PULSE_DEVICE double pulse_larger(double a, double b) { return b > a ? b : a; }

PULSE_DEVICE double pulse_slope(double sum_x, double sum_tx, long long n)
{
    const double count = (double)n;
    if (n < 3) return 0.0;
    return (sum_tx - (count - 1.0) / 2.0 * sum_x) / (count * (count * count - 1.0) / 12.0);
}

PULSE_DEVICE void pulse_step_level(double x, long long t, int g, double slope, double *level, double *loss, double *lag)
{
    const double gain = pulse_larger(LEVEL_GAIN[g], 1.0 / ((double)t + 1.0));
    if (t >= PULSE_BURN_IN)
        for (int k = 0; k < PULSE_SHARES; ++k) loss[k] += fabs(x - *level - DRIFT_SHARE[k] * slope * (1.0 + *lag));
    *level += gain * (x - *level);
    *lag = (1.0 - gain) * (*lag + 1.0);
}

PULSE_DEVICE void pulse_step_trend(double x, long long t, int g, double *level, double *slope, double *loss)
{
    const double k = (double)t + 1.0;
    const double level_start = 2.0 * (2.0 * k - 1.0) / (k * (k + 1.0));
    const double slope_start = 6.0 / (k * (k + 1.0)), sloped = t > 0 ? 1.0 : 0.0;
    const double ahead = TREND_DAMPING[g] * *slope;
    const double error = x - *level - ahead;
    *loss += (t >= PULSE_BURN_IN ? 1.0 : 0.0) * fabs(error);
    *level += ahead + pulse_larger(TREND_GAIN[g], level_start) * error;
    *slope = ahead + sloped * pulse_larger(TREND_SLOPE_GAIN[g], slope_start) * error;
}

PULSE_DEVICE PulseStart pulse_start(const double *x, long long step, long long m)
{
    PulseStart start = {0.0, 0.0, 0.0, (double)(m - 1) / 2.0};
    for (long long i = 0; i < m; ++i) {
        start.early += x[i * step];
        start.late += x[(m + i) * step];
    }
    start.early /= (double)m;
    start.late /= (double)m;
    start.slope = (start.late - start.early) / (double)m;
    return start;
}

PULSE_DEVICE double pulse_start_place(const double *x, long long step, long long m, long long i, PulseStart start)
{
    const double both = x[i * step] - start.early + x[(m + i) * step] - start.late;
    return 0.5 * both - start.slope * ((double)i - start.half);
}

PULSE_DEVICE void pulse_start_season_level(int g, PulseStart start, double *level, double *lag)
{
    const double back = (1.0 - SEASON_GAIN[g]) / SEASON_GAIN[g];
    *lag = start.half < back ? start.half : back;
    *level = start.late + start.slope * (start.half - *lag);
}

PULSE_DEVICE void pulse_start_holt(PulseStart start, double *level, double *slope)
{
    *level = start.late + start.slope * start.half;
    *slope = start.slope;
}

PULSE_DEVICE void pulse_step_season_level(double x, int g, double first, double slope, double *level, double *season,
                                          double *loss, double *lag)
{
    const double error = x - *level - *season;
    for (int q = 0; q < 2; ++q) loss[q] += fabs(error - SEASON_DRIFT[q] * slope * (1.0 + *lag));
    *level += SEASON_GAIN[g] * error;
    *season += pulse_larger(SEASON_RATIO[g], first) * (1.0 - SEASON_GAIN[g]) * error;
    *lag = (1.0 - SEASON_GAIN[g]) * (*lag + 1.0);
}

PULSE_DEVICE void pulse_step_holt(double x, int g, double first, double *level, double *slope, double *season,
                                  double *loss)
{
    const double ahead = HOLT_DAMPING[g] * *slope;
    const double error = x - *level - ahead - *season;
    *loss += fabs(error);
    *level += ahead + HOLT_GAIN[g] * error;
    *slope = ahead + HOLT_SLOPE_GAIN[g] * error;
    *season += pulse_larger(HOLT_SEASON[g], first) * (1.0 - HOLT_GAIN[g]) * error;
}

PULSE_DEVICE void pulse_step_demand(double x, long long t, int g, double *size, double *chance, double *loss)
{
    const double start = 1.0 / ((double)t + 1.0);
    const double here = x != 0.0 ? 1.0 : 0.0;
    *loss += t >= PULSE_BURN_IN ? fabs(x - *size * *chance) : 0.0;
    *size += here * pulse_larger(SIZE_GAIN[g], start) * (x - *size);
    *chance += pulse_larger(DEMAND_GAIN[g], start) * (here - *chance);
}

PULSE_DEVICE double *pulse_slot(PulseSeries y, long long slot) { return y.state + slot * y.step; }

/* First of the m slots of a season's places; the filters of one place are neighbours, so m places lie `grid` apart. */
PULSE_DEVICE long long pulse_places(int c, int j, long long longest, int grid, int is_holt)
{
    const long long all = is_holt ? PULSE_AT_SEASON + 4 * longest * PULSE_SEASONS : PULSE_AT_SEASON;
    return all + (2 * c + j) * longest * grid;
}

PULSE_DEVICE void pulse_walk_level(PulseSeries y, int c, int g)
{
    double level = 0.0, lag = 0.0, sum_x = 0.0, sum_tx = 0.0, loss[PULSE_SHARES] = {0.0};
    for (long long t = 0; t < y.count; ++t) {
        const double x = y.x[t * y.step];
        pulse_step_level(x, t, g, pulse_slope(sum_x, sum_tx, t), &level, loss, &lag);
        sum_x += x;
        sum_tx += (double)t * x;
    }
    *pulse_slot(y, PULSE_AT_LEVEL + c * PULSE_LEVELS + g) = level;
    *pulse_slot(y, PULSE_AT_LEVEL_LAG + c * PULSE_LEVELS + g) = lag;
    for (int k = 0; k < PULSE_SHARES; ++k)
        *pulse_slot(y, PULSE_AT_LEVEL_LOSS + (c * PULSE_SHARES + k) * PULSE_LEVELS + g) = loss[k];
    if (g == 0) {
        *pulse_slot(y, PULSE_AT_TREND + 2 * c) = sum_x;
        *pulse_slot(y, PULSE_AT_TREND + 2 * c + 1) = sum_tx;
    }
}

PULSE_DEVICE void pulse_walk_trend(PulseSeries y, int c, int g)
{
    double level = 0.0, slope = 0.0, loss = 0.0;
    const int at = c * PULSE_TRENDS + g;
    for (long long t = 0; t < y.count; ++t) pulse_step_trend(y.x[t * y.step], t, g, &level, &slope, &loss);
    *pulse_slot(y, PULSE_AT_TREND_LEVEL + at) = level;
    *pulse_slot(y, PULSE_AT_TREND_SLOPE + at) = slope;
    *pulse_slot(y, PULSE_AT_TREND_LOSS + at) = loss;
}

/* Starts from the first two seasons, and only sums while it passes over them. */
PULSE_DEVICE void pulse_walk_season_level(PulseSeries y, int c, int j, int g, long long places)
{
    double level = 0.0, lag = 0.0, sum_x = 0.0, sum_tx = 0.0, loss[2] = {0.0, 0.0};
    const int at = (2 * c + j) * PULSE_SEASONS + g;
    long long k = 0, seasons = 0;
    if (y.count < 2 * y.m) return;
    const PulseStart start = pulse_start(y.x, y.step, y.m);
    pulse_start_season_level(g, start, &level, &lag);
    for (long long i = 0; i < y.m; ++i)
        *pulse_slot(y, places + i * PULSE_SEASONS + g) = pulse_start_place(y.x, y.step, y.m, i, start);
    for (long long t = 0; t < y.count; ++t) {
        const double x = y.x[t * y.step];
        if (seasons >= 2) {
            double *season = pulse_slot(y, places + k * PULSE_SEASONS + g);
            const double slope = pulse_slope(sum_x, sum_tx, t);
            pulse_step_season_level(x, g, 1.0 / ((double)seasons + 1.0), slope, &level, season, loss, &lag);
        }
        sum_x += x;
        sum_tx += (double)t * x;
        if (++k == y.m) k = 0, ++seasons;
    }
    *pulse_slot(y, PULSE_AT_SEASON_LEVEL + at) = level;
    *pulse_slot(y, PULSE_AT_SEASON_LAG + at) = lag;
    for (int q = 0; q < 2; ++q)
        *pulse_slot(y, PULSE_AT_SEASON_LOSS + (2 * (2 * c + j) + q) * PULSE_SEASONS + g) = loss[q];
}

PULSE_DEVICE void pulse_walk_holt(PulseSeries y, int c, int j, int g, long long places)
{
    double level = 0.0, slope = 0.0, loss = 0.0;
    const int at = (2 * c + j) * PULSE_HOLTS + g;
    long long k = 0, seasons = 2;
    if (y.count < 2 * y.m) return;
    const PulseStart start = pulse_start(y.x, y.step, y.m);
    pulse_start_holt(start, &level, &slope);
    for (long long i = 0; i < y.m; ++i)
        *pulse_slot(y, places + i * PULSE_HOLTS + g) = pulse_start_place(y.x, y.step, y.m, i, start);
    for (long long t = 2 * y.m; t < y.count; ++t) {
        double *season = pulse_slot(y, places + k * PULSE_HOLTS + g);
        pulse_step_holt(y.x[t * y.step], g, 1.0 / ((double)seasons + 1.0), &level, &slope, season, &loss);
        if (++k == y.m) k = 0, ++seasons;
    }
    *pulse_slot(y, PULSE_AT_HOLT_LEVEL + at) = level;
    *pulse_slot(y, PULSE_AT_HOLT_SLOPE + at) = slope;
    *pulse_slot(y, PULSE_AT_HOLT_LOSS + at) = loss;
}

PULSE_DEVICE void pulse_walk_demand(PulseSeries y, int g)
{
    double size = 0.0, chance = 0.0, loss = 0.0;
    for (long long t = 0; t < y.count; ++t) pulse_step_demand(y.x[t * y.step], t, g, &size, &chance, &loss);
    *pulse_slot(y, PULSE_AT_DEMAND + g) = size;
    *pulse_slot(y, PULSE_AT_DEMAND + PULSE_DEMANDS + g) = chance;
    *pulse_slot(y, PULSE_AT_DEMAND + 2 * PULSE_DEMANDS + g) = loss;
}

/* Walk one channel with the lane-th of its filters: levels, trends, then levels and Holt-Winters of each season. */
PULSE_DEVICE void pulse_walk_channel(PulseSeries y, int c, int lane, long long m1, long long m2)
{
    const long long longest = m1 > m2 ? m1 : m2;
    if (lane < PULSE_LEVELS) {
        pulse_walk_level(y, c, lane);
        return;
    }
    if ((lane -= PULSE_LEVELS) < PULSE_TRENDS) {
        pulse_walk_trend(y, c, lane);
        return;
    }
    lane -= PULSE_TRENDS;
    const int j = lane / (PULSE_SEASONS + PULSE_HOLTS), g = lane % (PULSE_SEASONS + PULSE_HOLTS);
    y.m = j == 0 ? m1 : m2;
    if (y.m < 2) return;
    if (g < PULSE_SEASONS)
        pulse_walk_season_level(y, c, j, g, pulse_places(c, j, longest, PULSE_SEASONS, 0));
    else
        pulse_walk_holt(y, c, j, g - PULSE_SEASONS, pulse_places(c, j, longest, PULSE_HOLTS, 1));
}

/* Every filter of every series: thread = lane * series + s. `counts` holds the observations of each series, those
 * before the first that has no logarithm, and the zeros; `observed` values and logarithms, each steps * series. */
PULSE_KERNEL pulse_walk(const double *observed, const long long *counts, long long series, long long steps,
                        long long m1, long long m2, double *state)
{
    PULSE_EACH_THREAD(i, PULSE_LANES * series)
    {
        const long long s = i % series;
        const int lane = (int)(i / series), c = lane / PULSE_CHANNEL_LANES;
        PulseSeries y = {observed + s, state + s, series, counts[s], 0};
        if (c < 2) {
            y.x += c * steps * series;
            y.count = counts[c * series + s];
            pulse_walk_channel(y, c, lane % PULSE_CHANNEL_LANES, m1, m2);
        } else {
            pulse_walk_demand(y, lane - 2 * PULSE_CHANNEL_LANES);
        }
    }
}

/* Slot of the least of some neighbouring losses, the first of equals. */
PULSE_DEVICE int pulse_least(PulseSeries y, int slot, int losses)
{
    int best = slot;
    for (int at = slot + 1; at < slot + losses; ++at)
        if (*pulse_slot(y, at) < *pulse_slot(y, best)) best = at;
    return best;
}

/* The same over the shares of the slope: the least of each share's least. */
PULSE_DEVICE int pulse_least_share(PulseSeries y, int slot)
{
    int best = pulse_least(y, slot, PULSE_LEVELS);
    for (int k = 1; k < PULSE_SHARES; ++k) {
        const int at = pulse_least(y, slot + k * PULSE_LEVELS, PULSE_LEVELS);
        if (*pulse_slot(y, at) < *pulse_slot(y, best)) best = at;
    }
    return best;
}

PULSE_DEVICE void pulse_emit_plain(PulseSeries y, int c, double slope, long long horizon, const double *spans,
                                   double *made)
{
    const int losses = PULSE_AT_LEVEL_LOSS + c * PULSE_SHARES * PULSE_LEVELS;
    const int theta_losses = losses + PULSE_HALF * PULSE_LEVELS, levels = PULSE_AT_LEVEL + c * PULSE_LEVELS;
    const int lags = PULSE_AT_LEVEL_LAG + c * PULSE_LEVELS, trends = c * PULSE_TRENDS;
    const int simple = pulse_least(y, losses, PULSE_LEVELS) - losses;
    const int theta = pulse_least(y, theta_losses, PULSE_LEVELS) - theta_losses;
    const int best = pulse_least_share(y, losses) - losses, drift = best % PULSE_LEVELS;
    const int trend = pulse_least(y, PULSE_AT_TREND_LOSS + trends, PULSE_TRENDS) - PULSE_AT_TREND_LOSS - trends;
    const double share = DRIFT_SHARE[best / PULSE_LEVELS] * slope;
    for (long long i = 0; i < horizon; ++i, made += PULSE_VOICES * y.step) {
        const double h = (double)i + 1.0;
        made[0] = *pulse_slot(y, levels + simple);
        made[y.step] = *pulse_slot(y, levels + theta) + 0.5 * slope * (h + *pulse_slot(y, lags + theta));
        made[2 * y.step] = *pulse_slot(y, levels + drift) + share * (h + *pulse_slot(y, lags + drift));
        made[3 * y.step] = *pulse_slot(y, PULSE_AT_TREND_LEVEL + trends + trend) +
                           spans[trend * horizon + i] * *pulse_slot(y, PULSE_AT_TREND_SLOPE + trends + trend);
    }
}

PULSE_DEVICE void pulse_emit_season(PulseSeries y, int c, int j, long long longest, double slope, long long horizon,
                                    const double *spans, double *made)
{
    const int levels = (2 * c + j) * PULSE_SEASONS, holts = (2 * c + j) * PULSE_HOLTS;
    const int losses = PULSE_AT_SEASON_LOSS + 2 * levels, holt_losses = PULSE_AT_HOLT_LOSS + holts;
    const int flat = pulse_least(y, losses, PULSE_SEASONS) - losses;
    const int half = pulse_least(y, losses + PULSE_SEASONS, PULSE_SEASONS) - losses - PULSE_SEASONS;
    const int holt = pulse_least(y, holt_losses, PULSE_HOLTS) - holt_losses;
    const long long places = pulse_places(c, j, longest, PULSE_SEASONS, 0);
    const long long holt_places = pulse_places(c, j, longest, PULSE_HOLTS, 1);
    const double lag = *pulse_slot(y, PULSE_AT_SEASON_LAG + levels + half);
    for (long long i = 0; i < horizon; ++i, made += PULSE_VOICES * y.step) {
        const long long k = (y.count + i) % y.m;
        const double h = (double)i + 1.0, span = spans[(PULSE_TRENDS + holt) * horizon + i];
        made[0] = *pulse_slot(y, PULSE_AT_SEASON_LEVEL + levels + flat) +
                  *pulse_slot(y, places + k * PULSE_SEASONS + flat);
        made[y.step] = *pulse_slot(y, PULSE_AT_SEASON_LEVEL + levels + half) +
                       *pulse_slot(y, places + k * PULSE_SEASONS + half) + 0.5 * slope * (h + lag);
        made[2 * y.step] = *pulse_slot(y, PULSE_AT_HOLT_LEVEL + holts + holt) +
                           span * *pulse_slot(y, PULSE_AT_HOLT_SLOPE + holts + holt) +
                           *pulse_slot(y, holt_places + k * PULSE_HOLTS + holt);
    }
}

/* Each voice of each series, thread = voice * series + s: values, logarithms (as logarithms), demand. Fills `made`,
 * horizon * PULSE_VOICES * series, where a member has something to say; `spans` holds how many slopes a damped trend
 * gains, (trends, then Holt-Winters) * horizon. */
PULSE_KERNEL pulse_emit(const long long *counts, long long series, long long m1, long long m2, long long horizon,
                        const double *spans, double *state, double *made)
{
    PULSE_EACH_THREAD(i, 3 * series)
    {
        const long long s = i % series, n = counts[s], longest = m1 > m2 ? m1 : m2;
        const int c = (int)(i / series);
        PulseSeries y = {0, state + s, series, n, 0};
        double *voice = made + (long long)c * PULSE_OF_A_CHANNEL * series + s;
        if (n >= PULSE_SHORTEST && c < 2 && counts[c * series + s] == n) {
            const double slope = pulse_slope(*pulse_slot(y, PULSE_AT_TREND + 2 * c),
                                             *pulse_slot(y, PULSE_AT_TREND + 2 * c + 1), n);
            pulse_emit_plain(y, c, slope, horizon, spans, voice);
            for (int j = 0; j < 2; ++j) {
                y.m = j == 0 ? m1 : m2;
                if (y.m > 1 && n >= 2 * y.m + 2)
                    pulse_emit_season(y, c, j, longest, slope, horizon, spans,
                                      voice + (PULSE_FAMILIES + PULSE_SEASONAL_FAMILIES * j) * series);
            }
        }
        if (n >= PULSE_SHORTEST && c == 2 && 10 * counts[2 * series + s] >= n) {
            const int losses = PULSE_AT_DEMAND + 2 * PULSE_DEMANDS, g = pulse_least(y, losses, PULSE_DEMANDS) - losses;
            const double size = *pulse_slot(y, PULSE_AT_DEMAND + g);
            const double chance = *pulse_slot(y, PULSE_AT_DEMAND + PULSE_DEMANDS + g);
            for (long long h = 0; h < horizon; ++h) voice[h * PULSE_VOICES * series] = size * chance;
        }
    }
}

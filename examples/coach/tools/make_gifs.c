/*
 * Draws the coach's sample pictures: one small looping GIF per exercise, a stick figure on a mat.
 *
 *     make_gifs DIRECTORY
 *
 * A pose names where the hip, the hands and the feet are; knees and elbows follow from the length of the bones, so a
 * figure never stretches between two poses. An exercise is a ring of poses. Everything is computed from the tables
 * below: the same source writes the same bytes.
 *
 * Lengths are in figure units, x to the right, y up, the floor at y = 0; angles in degrees, 0 to the right, 90 up.
 */
#include <gif_lib.h>

#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 240, HEIGHT = 200, FLOOR = 172, CENTRE = 120 };
enum { PALETTE_SIZE = 64, RAMP = 12 };

static const double TORSO = 46, THIGH = 34, SHIN = 34, UPPER_ARM = 24, FOREARM = 24, FOOT = 10, NECK = 17;
static const double BONE = 3.4, HEAD = 9.5;

/* ---- geometry ------------------------------------------------------------------------------------------------- */

typedef struct {
    double x, y;
} Point;

typedef struct {
    double r, g, b;
} Colour;

/* [0] is the limb near the viewer (or left), [1] the far one (or right). */
typedef struct {
    Point hip;
    double torso; /* direction from hip to shoulders */
    double head;  /* direction from shoulders to head */
    Point hand[2], foot[2];
    double toe[2]; /* direction from ankle to toes */
    int frames;    /* how long it takes to get here from the pose before */
} Pose;

typedef struct {
    const char *id;
    double zoom, middle;   /* scale on the picture; the x that comes to its centre */
    double shoulders;      /* half their width, 0 seen from the side; from the front, hands are {direction, reach} */
    double hips;           /* likewise */
    int elbow[2], knee[2]; /* to which side a joint bends: +1 left of the bone's way, -1 right */
    bool hold;             /* held, not repeated: a bar fills while it lasts */
    int centiseconds;      /* how long a frame shows */
    int poses;
    Pose pose[8];
} Exercise;

static Point towards(Point from, double degrees, double length)
{
    double a = degrees * 3.14159265358979323846 / 180;
    return (Point){from.x + length * cos(a), from.y + length * sin(a)};
}

/* The joint of two bones of lengths a and b that reach from `from` towards `to`; `to` is pulled into reach. */
static Point joint(Point from, Point *to, double a, double b, int side)
{
    double dx = to->x - from.x, dy = to->y - from.y, d = sqrt(dx * dx + dy * dy);
    double reach = a + b - 0.01;
    if (d > reach) {
        to->x = from.x + dx * reach / d;
        to->y = from.y + dy * reach / d;
        dx = to->x - from.x, dy = to->y - from.y, d = reach;
    }
    if (d < 1)
        d = 1;
    double along = (a * a - b * b + d * d) / (2 * d);
    double off = side * sqrt(fmax(0, a * a - along * along));
    return (Point){from.x + (dx * along - dy * off) / d, from.y + (dy * along + dx * off) / d};
}

static double mix(double a, double b, double t)
{
    return a + (b - a) * t;
}

static Point mix_point(Point a, Point b, double t)
{
    return (Point){mix(a.x, b.x, t), mix(a.y, b.y, t)};
}

static Pose mix_pose(const Pose *a, const Pose *b, double t)
{
    double ease = t * t * (3 - 2 * t);
    Pose p = {.hip = mix_point(a->hip, b->hip, ease),
              .torso = mix(a->torso, b->torso, ease),
              .head = mix(a->head, b->head, ease)};
    for (int i = 0; i < 2; i++) {
        p.hand[i] = mix_point(a->hand[i], b->hand[i], ease);
        p.foot[i] = mix_point(a->foot[i], b->foot[i], ease);
        p.toe[i] = mix(a->toe[i], b->toe[i], ease);
    }
    return p;
}

/* ---- the exercises -------------------------------------------------------------------------------------------- */

/* clang-format off */
static const Exercise EXERCISES[] = {
    {.id = "plank", .zoom = 1.3, .middle = 118, .elbow = {-1, -1}, .knee = {1, 1}, .hold = true, .centiseconds = 12,
     .poses = 2,
     .pose = {{{114, 21.6}, 8.5, 14, {{183, 4}, {187, 4}}, {{46, 11}, {46, 11}}, {-75, -75}, 16},
              {{114, 23.0}, 7.0, 16, {{183, 4}, {187, 4}}, {{46, 11}, {46, 11}}, {-75, -75}, 14}}},

    {.id = "push_up", .zoom = 1.25, .middle = 118, .elbow = {-1, -1}, .knee = {1, 1}, .centiseconds = 6, .poses = 4,
     .pose = {{{118.9, 33.9}, 20.5, 24, {{164, 3}, {169, 3}}, {{54, 11}, {54, 11}}, {-70, -70}, 5},
              {{122.4, 14.6}, 3, 10, {{164, 3}, {169, 3}}, {{54, 11}, {54, 11}}, {-75, -75}, 13},
              {{122.4, 14.6}, 3, 10, {{164, 3}, {169, 3}}, {{54, 11}, {54, 11}}, {-75, -75}, 3},
              {{118.9, 33.9}, 20.5, 24, {{164, 3}, {169, 3}}, {{54, 11}, {54, 11}}, {-70, -70}, 11}}},

    {.id = "squat", .zoom = 1, .middle = 112, .elbow = {-1, -1}, .knee = {1, 1}, .centiseconds = 6, .poses = 4,
     .pose = {{{108, 73}, 90, 88, {{113, 71}, {116, 72}}, {{107, 5}, {112, 5}}, {-8, -8}, 6},
              {{84, 38}, 57, 70, {{160, 86}, {160, 83}}, {{107, 5}, {112, 5}}, {-8, -8}, 14},
              {{84, 38}, 57, 70, {{160, 86}, {160, 83}}, {{107, 5}, {112, 5}}, {-8, -8}, 4},
              {{108, 73}, 90, 88, {{113, 71}, {116, 72}}, {{107, 5}, {112, 5}}, {-8, -8}, 12}}},

    {.id = "lunge", .zoom = 1, .middle = 108, .elbow = {-1, -1}, .knee = {1, 1}, .centiseconds = 6, .poses = 6,
     .pose = {{{82, 73}, 90, 88, {{89, 86}, {91, 86}}, {{80, 5}, {85, 5}}, {-8, -8}, 6},
              {{92, 69}, 90, 88, {{99, 82}, {101, 82}}, {{112, 17}, {84, 5}}, {0, -8}, 8},
              {{108, 40}, 88, 88, {{115, 53}, {117, 53}}, {{136, 5}, {77, 13}}, {-8, -52}, 12},
              {{108, 40}, 88, 88, {{115, 53}, {117, 53}}, {{136, 5}, {77, 13}}, {-8, -52}, 4},
              {{92, 69}, 90, 88, {{99, 82}, {101, 82}}, {{112, 17}, {84, 5}}, {0, -8}, 12},
              {{82, 73}, 90, 88, {{89, 86}, {91, 86}}, {{80, 5}, {85, 5}}, {-8, -8}, 8}}},

    {.id = "glute_bridge", .zoom = 1.35, .middle = 100, .elbow = {1, 1}, .knee = {1, 1}, .centiseconds = 6, .poses = 4,
     .pose = {{{115, 8}, 180, 176, {{120, 3}, {122, 3}}, {{142, 5}, {146, 5}}, {-8, -8}, 5},
              {{112, 26.5}, 203.5, 178, {{120, 3}, {122, 3}}, {{142, 5}, {146, 5}}, {-8, -8}, 13},
              {{112, 26.5}, 203.5, 178, {{120, 3}, {122, 3}}, {{142, 5}, {146, 5}}, {-8, -8}, 6},
              {{115, 8}, 180, 176, {{120, 3}, {122, 3}}, {{142, 5}, {146, 5}}, {-8, -8}, 13}}},

    {.id = "jumping_jack", .zoom = 0.94, .middle = 120, .shoulders = 13, .hips = 7, .elbow = {-1, 1}, .knee = {-1, 1},
     .centiseconds = 6, .poses = 6,
     .pose = {{{120, 72.5}, 90, 90, {{258, 47}, {-78, 47}}, {{112, 5}, {128, 5}}, {215, -35}, 3},
              {{120, 77}, 90, 90, {{182, 47.5}, {-2, 47.5}}, {{98, 12}, {142, 12}}, {235, -55}, 6},
              {{120, 67}, 90, 90, {{97, 47.5}, {83, 47.5}}, {{86, 5}, {154, 5}}, {205, -25}, 6},
              {{120, 67}, 90, 90, {{97, 47.5}, {83, 47.5}}, {{86, 5}, {154, 5}}, {205, -25}, 3},
              {{120, 77}, 90, 90, {{182, 47.5}, {-2, 47.5}}, {{98, 12}, {142, 12}}, {235, -55}, 6},
              {{120, 72.5}, 90, 90, {{258, 47}, {-78, 47}}, {{112, 5}, {128, 5}}, {215, -35}, 6}}},
};
/* clang-format on */

/* ---- the picture ---------------------------------------------------------------------------------------------- */

static const Colour PAPER = {241, 246, 243}, MAT = {211, 224, 217}, FAR = {150, 183, 169}, INK = {28, 92, 76},
                    ACCENT = {224, 132, 70};

typedef struct {
    Colour pixel[HEIGHT][WIDTH];
    double zoom, middle;
} Canvas;

static Point on_canvas(const Canvas *c, Point p)
{
    return (Point){CENTRE + (p.x - c->middle) * c->zoom, FLOOR - p.y * c->zoom};
}

static double distance_to_line(Point p, Point a, Point b)
{
    double dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy;
    double t = length > 0 ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / length : 0;
    t = fmin(1, fmax(0, t));
    return hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

/* A line with round ends, its edge smoothed over one pixel; a and b are on the canvas. */
static void stroke(Canvas *c, Point a, Point b, double radius, Colour ink)
{
    int left = (int)fmax(0, fmin(a.x, b.x) - radius - 2), right = (int)fmin(WIDTH - 1, fmax(a.x, b.x) + radius + 2);
    int top = (int)fmax(0, fmin(a.y, b.y) - radius - 2), bottom = (int)fmin(HEIGHT - 1, fmax(a.y, b.y) + radius + 2);
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            double cover = radius + 0.5 - distance_to_line((Point){x + 0.5, y + 0.5}, a, b);
            Colour *p = &c->pixel[y][x];
            cover = fmin(1, fmax(0, cover));
            *p = (Colour){mix(p->r, ink.r, cover), mix(p->g, ink.g, cover), mix(p->b, ink.b, cover)};
        }
}

static void bone(Canvas *c, Point a, Point b, Colour ink)
{
    stroke(c, on_canvas(c, a), on_canvas(c, b), BONE * c->zoom, ink);
}

static void draw_limbs(Canvas *c, const Exercise *e, const Pose *p, int i, Colour ink)
{
    double side = i == 0 ? -1 : 1;
    Point shoulder = towards(p->hip, p->torso, TORSO), hip = p->hip, hand = p->hand[i], foot = p->foot[i];
    shoulder.x += side * e->shoulders;
    hip.x += side * e->hips;
    if (e->shoulders > 0)
        hand = towards(shoulder, hand.x, hand.y);
    Point elbow = joint(shoulder, &hand, UPPER_ARM, FOREARM, e->elbow[i]);
    Point knee = joint(hip, &foot, THIGH, SHIN, e->knee[i]);
    bone(c, hip, knee, ink);
    bone(c, knee, foot, ink);
    bone(c, foot, towards(foot, p->toe[i], FOOT), ink);
    bone(c, shoulder, elbow, ink);
    bone(c, elbow, hand, ink);
}

static void draw_trunk(Canvas *c, const Exercise *e, const Pose *p)
{
    Point shoulder = towards(p->hip, p->torso, TORSO);
    Point head = on_canvas(c, towards(shoulder, p->head, NECK));
    bone(c, p->hip, shoulder, INK);
    if (e->shoulders > 0) { /* seen from the front: the shoulders and hips have a width */
        bone(c, (Point){shoulder.x - e->shoulders, shoulder.y}, (Point){shoulder.x + e->shoulders, shoulder.y}, INK);
        bone(c, (Point){p->hip.x - e->hips, p->hip.y}, (Point){p->hip.x + e->hips, p->hip.y}, INK);
    }
    stroke(c, head, head, HEAD * c->zoom, INK);
}

static void draw_frame(Canvas *c, const Exercise *e, const Pose *p, double progress)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            c->pixel[y][x] = PAPER;
    c->zoom = e->zoom;
    c->middle = e->middle;
    double mat = FLOOR + 6;
    stroke(c, (Point){22, mat}, (Point){WIDTH - 22, mat}, 5, MAT);
    draw_limbs(c, e, p, 1, e->shoulders > 0 ? INK : FAR);
    draw_limbs(c, e, p, 0, INK);
    draw_trunk(c, e, p);
    if (e->hold) {
        stroke(c, (Point){80, 30}, (Point){160, 30}, 3, MAT);
        stroke(c, (Point){80, 30}, (Point){80 + 80 * progress, 30}, 3, ACCENT);
    }
}

/* ---- colours to indices --------------------------------------------------------------------------------------- */

static uint8_t byte_of(double v)
{
    return (uint8_t)(v + 0.5);
}

/* Smoothed edges lie between two inks, so the palette is a few ramps between pairs of them. */
static ColorMapObject *make_palette(void)
{
    const Colour pairs[][2] = {{PAPER, INK}, {PAPER, FAR}, {FAR, INK}, {PAPER, MAT}, {MAT, ACCENT}};
    ColorMapObject *map = GifMakeMapObject(PALETTE_SIZE, NULL);
    if (map == NULL)
        return NULL;
    int n = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        for (int step = 0; step < RAMP; step++, n++) {
            const Colour *a = &pairs[i][0], *b = &pairs[i][1];
            double t = step / (RAMP - 1.0);
            map->Colors[n] =
                (GifColorType){byte_of(mix(a->r, b->r, t)), byte_of(mix(a->g, b->g, t)), byte_of(mix(a->b, b->b, t))};
        }
    for (; n < PALETTE_SIZE; n++)
        map->Colors[n] = map->Colors[0];
    return map;
}

static GifByteType nearest(const ColorMapObject *map, Colour c)
{
    int best = 0;
    double least = 1e9;
    for (int i = 0; i < map->ColorCount; i++) {
        double r = map->Colors[i].Red - c.r, g = map->Colors[i].Green - c.g, b = map->Colors[i].Blue - c.b;
        double d = r * r + g * g + b * b;
        if (d < least)
            least = d, best = i;
    }
    return (GifByteType)best;
}

static bool same(Colour a, Colour b)
{
    return a.r == b.r && a.g == b.g && a.b == b.b;
}

/* Most pixels have their left neighbour's colour: those are not looked up again. */
static void to_indices(const Canvas *c, const ColorMapObject *map, GifByteType out[HEIGHT][WIDTH])
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            bool known = x > 0 && same(c->pixel[y][x], c->pixel[y][x - 1]);
            out[y][x] = known ? out[y][x - 1] : nearest(map, c->pixel[y][x]);
        }
}

/* ---- the file ------------------------------------------------------------------------------------------------- */

typedef struct {
    int left, top, width, height;
} Box;

/* What changed since the frame before; at least one pixel, since a frame cannot be empty. */
static Box changed(GifByteType was[HEIGHT][WIDTH], GifByteType is[HEIGHT][WIDTH])
{
    int left = WIDTH, right = -1, top = HEIGHT, bottom = -1;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            if (was[y][x] != is[y][x]) {
                left = x < left ? x : left;
                right = x > right ? x : right;
                top = y < top ? y : top;
                bottom = y;
            }
    if (right < 0)
        return (Box){0, 0, 1, 1};
    return (Box){left, top, right - left + 1, bottom - top + 1};
}

static bool put_frame(GifFileType *gif, GifByteType pixel[HEIGHT][WIDTH], Box box, int centiseconds)
{
    GraphicsControlBlock control = {
        .DisposalMode = DISPOSE_DO_NOT, .DelayTime = centiseconds, .TransparentColor = NO_TRANSPARENT_COLOR};
    GifByteType bytes[4];
    if (EGifGCBToExtension(&control, bytes) != sizeof bytes ||
        EGifPutExtension(gif, GRAPHICS_EXT_FUNC_CODE, sizeof bytes, bytes) == GIF_ERROR ||
        EGifPutImageDesc(gif, box.left, box.top, box.width, box.height, false, NULL) == GIF_ERROR)
        return false;
    for (int y = 0; y < box.height; y++)
        if (EGifPutLine(gif, &pixel[box.top + y][box.left], box.width) == GIF_ERROR)
            return false;
    return true;
}

static bool put_head(GifFileType *gif, const ColorMapObject *map)
{
    const GifByteType forever[3] = {1, 0, 0};
    EGifSetGifVersion(gif, true);
    return EGifPutScreenDesc(gif, WIDTH, HEIGHT, 6, 0, map) != GIF_ERROR &&
           EGifPutExtensionLeader(gif, APPLICATION_EXT_FUNC_CODE) != GIF_ERROR &&
           EGifPutExtensionBlock(gif, 11, "NETSCAPE2.0") != GIF_ERROR &&
           EGifPutExtensionBlock(gif, sizeof forever, forever) != GIF_ERROR &&
           EGifPutExtensionTrailer(gif) != GIF_ERROR;
}

static bool put_frames(GifFileType *gif, const Exercise *e, const ColorMapObject *map)
{
    static Canvas canvas;
    static GifByteType now[HEIGHT][WIDTH], before[HEIGHT][WIDTH];
    int total = 0, done = 0;
    for (int i = 0; i < e->poses; i++)
        total += e->pose[i].frames;
    for (int i = 0; i < e->poses; i++) {
        const Pose *from = &e->pose[(i + e->poses - 1) % e->poses], *to = &e->pose[i];
        for (int f = 0; f < to->frames; f++, done++) {
            Pose p = mix_pose(from, to, (f + 1.0) / to->frames);
            draw_frame(&canvas, e, &p, (double)done / (total - 1));
            to_indices(&canvas, map, now);
            Box box = done == 0 ? (Box){0, 0, WIDTH, HEIGHT} : changed(before, now);
            if (!put_frame(gif, now, box, e->centiseconds))
                return false;
            memcpy(before, now, sizeof now);
        }
    }
    return true;
}

/* Written aside and renamed, so that a build cut short leaves no half a picture. */
static bool write_gif(const char *directory, const Exercise *e, const ColorMapObject *map)
{
    char path[4096], aside[4096];
    int error = 0;
    if (snprintf(path, sizeof path, "%s/%s.gif", directory, e->id) >= (int)sizeof path ||
        snprintf(aside, sizeof aside, "%s/.%s.part", directory, e->id) >= (int)sizeof aside)
        return false;
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666); /* EGifOpenFileName would make it 0600 */
    GifFileType *gif = fd < 0 ? NULL : EGifOpenFileHandle(fd, &error);
    if (gif == NULL) {
        fprintf(stderr, "make_gifs: cannot write %s\n", aside);
        return false;
    }
    bool ok = put_head(gif, map) && put_frames(gif, e, map);
    ok = EGifCloseFile(gif, &error) != GIF_ERROR && ok;
    if (!ok || rename(aside, path) != 0) {
        fprintf(stderr, "make_gifs: cannot write %s\n", path);
        remove(aside);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_gifs DIRECTORY\n");
        return 2;
    }
    ColorMapObject *map = make_palette();
    bool ok = map != NULL;
    for (size_t i = 0; ok && i < sizeof EXERCISES / sizeof EXERCISES[0]; i++)
        ok = write_gif(argv[1], &EXERCISES[i], map);
    GifFreeMapObject(map);
    return ok ? 0 : 1;
}

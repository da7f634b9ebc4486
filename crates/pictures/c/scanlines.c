/* libjpeg-turbo's rows one after the other: TurboJPEG's interface gives a picture as a whole.
 *
 * libjpeg reports errors by a function that may not return, so each call has its jump back here, and none crosses a
 * frame that is not C. A warning is an error, too: who meets one decodes the file again as a whole, which takes damaged
 * data as other programs do. */

#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

enum { ROWS_AT_ONCE = 4 };

struct sightline_scanlines {
    struct jpeg_decompress_struct decoder;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    int max_scans;
};

static void fail(j_common_ptr decoder) {
    struct sightline_scanlines *scanlines = decoder->client_data;
    longjmp(scanlines->failed, 1);
}

static void hear(j_common_ptr decoder, int level) {
    if (level < 0) fail(decoder);
}

static void say_nothing(j_common_ptr decoder) { (void)decoder; }

static void count_scans(j_common_ptr decoder) {
    struct sightline_scanlines *scanlines = decoder->client_data;
    if (scanlines->decoder.input_scan_number > scanlines->max_scans) fail(decoder);
}

void sightline_scanlines_close(struct sightline_scanlines *scanlines) {
    jpeg_destroy_decompress(&scanlines->decoder);
    free(scanlines);
}

/* 0 says that it failed. */
static int read_header(struct sightline_scanlines *scanlines, const unsigned char *bytes, size_t length,
                       long max_memory) {
    struct jpeg_decompress_struct *decoder = &scanlines->decoder;
    if (setjmp(scanlines->failed)) return 0;
    jpeg_create_decompress(decoder);
    decoder->progress = &scanlines->progress;
    decoder->mem->max_memory_to_use = max_memory;
    jpeg_mem_src(decoder, bytes, (unsigned long)length);
    return jpeg_read_header(decoder, TRUE) == JPEG_HEADER_OK;
}

/* Reads the header. `bytes` have to outlive what is returned; null says that the file is not read this way. `space` is
 * the number of values a pixel, 1 or 3, or 0 where there are others than grey and three colours. */
struct sightline_scanlines *sightline_scanlines_open(const unsigned char *bytes, size_t length, long max_memory,
                                                     int max_scans, unsigned *width, unsigned *height, int *space) {
    struct sightline_scanlines *scanlines = calloc(1, sizeof *scanlines);
    if (!scanlines) return NULL;
    struct jpeg_decompress_struct *decoder = &scanlines->decoder;
    decoder->err = jpeg_std_error(&scanlines->errors);
    decoder->client_data = scanlines;
    scanlines->errors.error_exit = fail;
    scanlines->errors.emit_message = hear;
    scanlines->errors.output_message = say_nothing;
    scanlines->progress.progress_monitor = count_scans;
    scanlines->max_scans = max_scans;
    if (!read_header(scanlines, bytes, length, max_memory)) {
        sightline_scanlines_close(scanlines);
        return NULL;
    }
    *width = decoder->image_width;
    *height = decoder->image_height;
    switch (decoder->jpeg_color_space) {
    case JCS_GRAYSCALE: *space = 1; break;
    case JCS_YCbCr:
    case JCS_RGB: *space = 3; break;
    default: *space = 0;
    }
    return scanlines;
}

/* Begins to decode at an n-th of the size, to 1 or 3 values a pixel. 0 says that it failed. */
int sightline_scanlines_start(struct sightline_scanlines *scanlines, int channels, unsigned denominator,
                              unsigned *width, unsigned *height) {
    struct jpeg_decompress_struct *decoder = &scanlines->decoder;
    if (setjmp(scanlines->failed)) return 0;
    decoder->out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_EXT_RGB;
    decoder->do_fancy_upsampling = TRUE;
    decoder->dct_method = JDCT_ISLOW;
    decoder->scale_num = 1;
    decoder->scale_denom = denominator;
    jpeg_start_decompress(decoder);
    *width = decoder->output_width;
    *height = decoder->output_height;
    return decoder->output_components == channels;
}

static int read_rows(struct jpeg_decompress_struct *decoder, unsigned char *out, size_t stride, unsigned rows) {
    while (rows > 0) {
        JSAMPROW places[ROWS_AT_ONCE];
        unsigned wanted = rows < ROWS_AT_ONCE ? rows : ROWS_AT_ONCE;
        for (unsigned row = 0; row < wanted; row++) places[row] = out + row * stride;
        unsigned read = jpeg_read_scanlines(decoder, places, wanted);
        if (read == 0) return 0;
        out += read * stride;
        rows -= read;
    }
    return 1;
}

/* Writes the next rows, `stride` bytes apart. 0 says that it failed. */
int sightline_scanlines_read(struct sightline_scanlines *scanlines, unsigned char *out, size_t stride, unsigned rows) {
    /* By its address, so that nothing that changes is kept where a jump would lose it. */
    int (*volatile read)(struct jpeg_decompress_struct *, unsigned char *, size_t, unsigned) = read_rows;
    if (setjmp(scanlines->failed)) return 0;
    return read(&scanlines->decoder, out, stride, rows);
}

/* Reads what follows the last row. 0 says that it failed. */
int sightline_scanlines_finish(struct sightline_scanlines *scanlines) {
    if (setjmp(scanlines->failed)) return 0;
    return jpeg_finish_decompress(&scanlines->decoder);
}

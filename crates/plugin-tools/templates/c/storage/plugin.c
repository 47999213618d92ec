/* A storage with one file in it, to be read. */

#include "support.h"

typedef exports_waft_plugin_storage_borrow_session_t session_t;
typedef exports_waft_plugin_storage_error_t error_t;

static const char NAME[] = "hello.txt";
static const char TEXT[] = "Hello.\n";
enum { LENGTH = sizeof TEXT - 1 };

/* What was read of the file. */
struct exports_waft_plugin_storage_reader_t {
  size_t offset;
};

/* There is none. */
struct exports_waft_plugin_storage_writer_t {
  char none;
};

void exports_waft_plugin_lifecycle_describe(exports_waft_plugin_lifecycle_descriptor_t *ret) {
  describe(ret, "hello-storage", "Has one file, to be read");
}

bool exports_waft_plugin_lifecycle_init(plugin_string_t *err) {
  (void)err;
  return true;
}

static bool fail(error_t *err, exports_waft_plugin_storage_error_code_t code, const char *text) {
  err->code = code;
  plugin_string_dup(&err->message, text);
  return false;
}

static bool not_found(error_t *err) {
  return fail(err, EXPORTS_WAFT_PLUGIN_STORAGE_ERROR_CODE_NOT_FOUND, "there is only hello.txt");
}

static bool unsupported(error_t *err) {
  return fail(err, EXPORTS_WAFT_PLUGIN_STORAGE_ERROR_CODE_UNSUPPORTED, "it can only be read");
}

static bool is_file(const plugin_string_t *path) {
  return path->len == sizeof NAME && path->ptr[0] == '/' &&
         memcmp(path->ptr + 1, NAME, path->len - 1) == 0;
}

static void file(exports_waft_plugin_storage_file_stat_t *ret) {
  *ret = (exports_waft_plugin_storage_file_stat_t){0};
  ret->kind = WAFT_PLUGIN_TYPES_FILE_KIND_FILE;
  ret->size = LENGTH;
}

exports_waft_plugin_storage_abilities_t exports_waft_plugin_storage_get_abilities(void) {
  return 0;
}

bool exports_waft_plugin_storage_stat(session_t s, plugin_string_t *path,
                                      exports_waft_plugin_storage_file_stat_t *ret,
                                      error_t *err) {
  (void)s;
  bool found = true;
  file(ret);
  if (is(path, "/")) {
    ret->kind = WAFT_PLUGIN_TYPES_FILE_KIND_DIRECTORY;
    ret->size = 0;
  } else if (!is_file(path)) {
    found = not_found(err);
  }
  plugin_string_free(path);
  return found;
}

bool exports_waft_plugin_storage_list_dir(session_t s, plugin_string_t *path,
                                          plugin_string_t *maybe_cursor, uint32_t max,
                                          exports_waft_plugin_storage_page_t *ret, error_t *err) {
  (void)s, (void)max;
  bool found = is(path, "/");
  if (found) {
    *ret = (exports_waft_plugin_storage_page_t){0};
    ret->entries.len = 1;
    ret->entries.ptr = memory(1, sizeof *ret->entries.ptr);
    plugin_string_dup(&ret->entries.ptr[0].f0, NAME);
    file(&ret->entries.ptr[0].f1);
  } else {
    not_found(err);
  }
  plugin_string_free(path);
  if (maybe_cursor != NULL) plugin_string_free(maybe_cursor);
  return found;
}

bool exports_waft_plugin_storage_open_read(session_t s, plugin_string_t *path, uint64_t offset,
                                           exports_waft_plugin_storage_own_reader_t *ret,
                                           error_t *err) {
  (void)s;
  bool found = is_file(path);
  if (found) {
    exports_waft_plugin_storage_reader_t *reader = memory(1, sizeof *reader);
    reader->offset = offset < LENGTH ? (size_t)offset : LENGTH;
    *ret = exports_waft_plugin_storage_reader_new(reader);
  } else {
    not_found(err);
  }
  plugin_string_free(path);
  return found;
}

bool exports_waft_plugin_storage_method_reader_read(
    exports_waft_plugin_storage_borrow_reader_t self, uint32_t max, plugin_list_u8_t *ret,
    error_t *err) {
  (void)err;
  size_t left = LENGTH - self->offset;
  ret->len = left < max ? left : max;
  ret->ptr = memory(ret->len + 1, 1);
  memcpy(ret->ptr, TEXT + self->offset, ret->len);
  self->offset += ret->len;
  return true;
}

void exports_waft_plugin_storage_reader_destructor(exports_waft_plugin_storage_reader_t *reader) {
  free(reader);
}

/* Nothing below is ever called: the server refuses what `get_abilities` does not name, and
   writing fails where it begins. */

bool exports_waft_plugin_storage_open_write(session_t s, plugin_string_t *path,
                                            exports_waft_plugin_storage_write_mode_t mode,
                                            uint64_t offset,
                                            exports_waft_plugin_storage_own_writer_t *ret,
                                            error_t *err) {
  (void)s, (void)mode, (void)offset, (void)ret;
  plugin_string_free(path);
  return fail(err, EXPORTS_WAFT_PLUGIN_STORAGE_ERROR_CODE_DENIED, "it can only be read");
}

bool exports_waft_plugin_storage_method_writer_write(
    exports_waft_plugin_storage_borrow_writer_t self, plugin_list_u8_t *data, error_t *err) {
  (void)self;
  plugin_list_u8_free(data);
  return unsupported(err);
}

bool exports_waft_plugin_storage_method_writer_finish(
    exports_waft_plugin_storage_borrow_writer_t self, exports_waft_plugin_storage_file_stat_t *ret,
    error_t *err) {
  (void)self, (void)ret;
  return unsupported(err);
}

void exports_waft_plugin_storage_writer_destructor(exports_waft_plugin_storage_writer_t *writer) {
  free(writer);
}

bool exports_waft_plugin_storage_make_dir(session_t s, plugin_string_t *path, error_t *err) {
  (void)s;
  plugin_string_free(path);
  return unsupported(err);
}

bool exports_waft_plugin_storage_remove_dir(session_t s, plugin_string_t *path, error_t *err) {
  (void)s;
  plugin_string_free(path);
  return unsupported(err);
}

bool exports_waft_plugin_storage_remove_file(session_t s, plugin_string_t *path, error_t *err) {
  (void)s;
  plugin_string_free(path);
  return unsupported(err);
}

bool exports_waft_plugin_storage_rename(session_t s, plugin_string_t *source,
                                        plugin_string_t *target, bool replace, error_t *err) {
  (void)s, (void)replace;
  plugin_string_free(source);
  plugin_string_free(target);
  return unsupported(err);
}

bool exports_waft_plugin_storage_set_modified(session_t s, plugin_string_t *path,
                                              uint64_t modified, error_t *err) {
  (void)s, (void)modified;
  plugin_string_free(path);
  return unsupported(err);
}

bool exports_waft_plugin_storage_free_space(session_t s, plugin_option_u64_t *ret, error_t *err) {
  (void)s, (void)ret;
  return unsupported(err);
}

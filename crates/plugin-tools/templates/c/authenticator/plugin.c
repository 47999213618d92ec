/* Lets a guest in, whatever the password, to look and to fetch. */

#include "support.h"

static const char NAME[] = "guest";

/* Where the guest's files are. */
static bool directory(plugin_string_t *ret) {
  plugin_string_t key;
  plugin_string_set(&key, "directory");
  return waft_plugin_config_get(&key, ret);
}

void exports_waft_plugin_lifecycle_describe(exports_waft_plugin_lifecycle_descriptor_t *ret) {
  describe(ret, "guest-login", "Lets a guest in, to look and to fetch");
}

bool exports_waft_plugin_lifecycle_init(plugin_string_t *err) {
  plugin_string_t found;
  if (!directory(&found)) {
    plugin_string_dup(err, "directory: is missing");
    return false;
  }
  plugin_string_free(&found);
  return true;
}

static void accept(exports_waft_plugin_authenticator_account_t *account) {
  static const char LOCAL[] = "local:";
  *account = (exports_waft_plugin_authenticator_account_t){0};
  plugin_string_t found;
  if (!directory(&found)) abort();
  size_t length = strlen(LOCAL);
  char *storage = memory(length + found.len + 1, 1);
  memcpy(storage, LOCAL, length);
  memcpy(storage + length, found.ptr, found.len);
  plugin_string_dup(&account->name, NAME);
  plugin_string_dup(&account->storage, storage);
  plugin_string_dup(&account->root, "/");
  account->permissions.len = 2;
  account->permissions.ptr = memory(2, sizeof *account->permissions.ptr);
  plugin_string_dup(&account->permissions.ptr[0], "list");
  plugin_string_dup(&account->permissions.ptr[1], "read");
  free(storage);
  plugin_string_free(&found);
}

void exports_waft_plugin_authenticator_authenticate(
    exports_waft_plugin_authenticator_borrow_session_t session,
    exports_waft_plugin_authenticator_credentials_t *credentials,
    exports_waft_plugin_authenticator_auth_decision_t *ret) {
  (void)session;
  /* Who is not known here is left to the next authenticator. */
  ret->tag = EXPORTS_WAFT_PLUGIN_AUTHENTICATOR_AUTH_DECISION_ABSTAIN;
  if (credentials->tag == EXPORTS_WAFT_PLUGIN_AUTHENTICATOR_CREDENTIALS_PASSWORD &&
      is(&credentials->val.password.user, NAME)) {
    ret->tag = EXPORTS_WAFT_PLUGIN_AUTHENTICATOR_AUTH_DECISION_ACCEPT;
    accept(&ret->val.accept);
  }
  exports_waft_plugin_authenticator_credentials_free(credentials);
}

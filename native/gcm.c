// AES-GCM of SSH packets (RFC 5647) in place, for the agent: node:crypto makes a cipher object and fresh memory for each. It needs
// nothing but what the node it is loaded into brings, its OpenSSL among that, and no C library by name: one file for all images of
// an architecture, whichever libc they have.
//
// create(key, encrypt) -> cipher: 16 or 32 bytes make it AES-128 or AES-256
// crypt(cipher, iv, packet) -> done: iv of 12 bytes; packet is length (4 bytes, clear), body, tag (16); false if the tag is wrong
#define NAPI_VERSION 8
#include <node_api.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#define IV_BYTES 12
#define LENGTH_BYTES 4
#define TAG_BYTES 16

static napi_value throw_type(napi_env env, const char *text) {
  napi_throw_type_error(env, NULL, text);
  return NULL;
}

static bool get_bytes(napi_env env, napi_value value, uint8_t **data, size_t *length) {
  bool is_buffer = false;
  return napi_is_buffer(env, value, &is_buffer) == napi_ok && is_buffer &&
         napi_get_buffer_info(env, value, (void **)data, length) == napi_ok;
}

static void free_cipher(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  EVP_CIPHER_CTX_free(data);
}

static napi_value js_create(napi_env env, napi_callback_info info) {
  napi_value args[2], result;
  size_t count = 2, length;
  uint8_t *key;
  bool encrypt;
  napi_get_cb_info(env, info, &count, args, NULL, NULL);
  if (count < 2 || !get_bytes(env, args[0], &key, &length) || (length != 16 && length != 32))
    return throw_type(env, "key must be a buffer of 16 or 32 bytes");
  if (napi_get_value_bool(env, args[1], &encrypt) != napi_ok) return throw_type(env, "encrypt must be a boolean");
  EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
  const EVP_CIPHER *kind = length == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
  if (!cipher || EVP_CipherInit_ex(cipher, kind, NULL, key, NULL, encrypt) != 1 ||
      napi_create_external(env, cipher, free_cipher, NULL, &result) != napi_ok) {
    EVP_CIPHER_CTX_free(cipher);
    napi_throw_error(env, NULL, "OpenSSL makes no AES-GCM cipher");
    return NULL;
  }
  return result;
}

static bool crypt(EVP_CIPHER_CTX *cipher, const uint8_t *iv, uint8_t *packet, size_t length) {
  uint8_t *body = packet + LENGTH_BYTES, *tag = packet + length - TAG_BYTES;
  int body_bytes = (int)(length - LENGTH_BYTES - TAG_BYTES), written;
  bool encrypt = EVP_CIPHER_CTX_encrypting(cipher);
  if (EVP_CipherInit_ex(cipher, NULL, NULL, NULL, iv, -1) != 1) return false;
  if (!encrypt && EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) != 1) return false;
  // RFC 5647 7.3: the length is authenticated and not encrypted.
  if (EVP_CipherUpdate(cipher, NULL, &written, packet, LENGTH_BYTES) != 1) return false;
  if (EVP_CipherUpdate(cipher, body, &written, body, body_bytes) != 1) return false;
  if (EVP_CipherFinal_ex(cipher, body + written, &written) != 1) return false;
  return !encrypt || EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) == 1;
}

static napi_value js_crypt(napi_env env, napi_callback_info info) {
  napi_value args[3], result;
  size_t count = 3, iv_length, length;
  napi_valuetype type;
  uint8_t *iv, *packet;
  void *cipher;
  napi_get_cb_info(env, info, &count, args, NULL, NULL);
  if (count < 3 || napi_typeof(env, args[0], &type) != napi_ok || type != napi_external ||
      napi_get_value_external(env, args[0], &cipher) != napi_ok)
    return throw_type(env, "cipher must come from create");
  if (!get_bytes(env, args[1], &iv, &iv_length) || iv_length != IV_BYTES) return throw_type(env, "iv must be 12 bytes");
  if (!get_bytes(env, args[2], &packet, &length) || length < LENGTH_BYTES + TAG_BYTES || length > INT32_MAX)
    return throw_type(env, "packet is too short");
  napi_get_boolean(env, crypt(cipher, iv, packet, length), &result);
  return result;
}

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "create", NAPI_AUTO_LENGTH, js_create, NULL, &function);
  napi_set_named_property(env, exports, "create", function);
  napi_create_function(env, "crypt", NAPI_AUTO_LENGTH, js_crypt, NULL, &function);
  napi_set_named_property(env, exports, "crypt", function);
  return exports;
}

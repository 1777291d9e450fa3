// AES-GCM of SSH packets (RFC 5647), in place or from where the data lies: node:crypto makes a cipher object and fresh memory for each. It needs
// nothing but what the node it is loaded into brings, its OpenSSL among that, and no C library by name: one file for all images of
// an architecture, whichever libc they have.
//
// create(key, encrypt) -> cipher: 16 or 32 bytes make it AES-128 or AES-256
// crypt(cipher, iv, packet) -> done: iv of 12 bytes; packet is length (4 bytes, clear), body, tag (16); false if the tag is wrong
// seal(cipher, iv, packet, at, data, start, end) -> done: encrypts a packet whose bytes from `at` on are data[start .. end), which
//   lies elsewhere and stays as it is: the memory of the packet is then written once
#define NAPI_VERSION 8
#include <node_api.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 16
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

// The iv, and the length: RFC 5647 7.3 has it authenticated and not encrypted.
static bool begin(EVP_CIPHER_CTX *cipher, const uint8_t *iv, const uint8_t *packet) {
  int written;
  return EVP_CipherInit_ex(cipher, NULL, NULL, NULL, iv, -1) == 1 &&
         EVP_CipherUpdate(cipher, NULL, &written, packet, LENGTH_BYTES) == 1;
}

static bool crypt(EVP_CIPHER_CTX *cipher, const uint8_t *iv, uint8_t *packet, size_t length) {
  uint8_t *body = packet + LENGTH_BYTES, *tag = packet + length - TAG_BYTES;
  int body_bytes = (int)(length - LENGTH_BYTES - TAG_BYTES), written;
  bool encrypt = EVP_CIPHER_CTX_encrypting(cipher);
  if (!begin(cipher, iv, packet)) return false;
  if (!encrypt && EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) != 1) return false;
  if (EVP_CipherUpdate(cipher, body, &written, body, body_bytes) != 1) return false;
  if (EVP_CipherFinal_ex(cipher, body + written, &written) != 1) return false;
  return !encrypt || EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) == 1;
}

// The blocks that are nothing but data are encrypted from where they lie. What shares a block with other bytes is copied.
static bool seal(EVP_CIPHER_CTX *cipher, const uint8_t *iv, uint8_t *packet, size_t length, size_t at, const uint8_t *data,
                 size_t size) {
  uint8_t *body = packet + LENGTH_BYTES, *end = packet + length - TAG_BYTES;
  size_t head = (at - LENGTH_BYTES + BLOCK - 1) / BLOCK * BLOCK, first = head - (at - LENGTH_BYTES);
  if (size < first + BLOCK) {
    memcpy(packet + at, data, size);
    return crypt(cipher, iv, packet, length);
  }
  size_t whole = (size - first) / BLOCK * BLOCK, rest = size - first - whole;
  uint8_t *tail = body + head + whole;
  int written;
  memcpy(packet + at, data, first);
  memcpy(tail, data + first + whole, rest);
  if (!begin(cipher, iv, packet)) return false;
  if (EVP_CipherUpdate(cipher, body, &written, body, (int)head) != 1) return false;
  if (EVP_CipherUpdate(cipher, body + head, &written, data + first, (int)whole) != 1) return false;
  if (EVP_CipherUpdate(cipher, tail, &written, tail, (int)(end - tail)) != 1) return false;
  if (EVP_CipherFinal_ex(cipher, end, &written) != 1) return false;
  return EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, end) == 1;
}

// The first three arguments of crypt and seal; false when an exception was thrown.
static bool get_packet(napi_env env, const napi_value *args, size_t count, EVP_CIPHER_CTX **cipher, uint8_t **iv,
                       uint8_t **packet, size_t *length) {
  napi_valuetype type;
  size_t iv_length;
  if (count < 3 || napi_typeof(env, args[0], &type) != napi_ok || type != napi_external ||
      napi_get_value_external(env, args[0], (void **)cipher) != napi_ok)
    return throw_type(env, "cipher must come from create"), false;
  if (!get_bytes(env, args[1], iv, &iv_length) || iv_length != IV_BYTES)
    return throw_type(env, "iv must be 12 bytes"), false;
  if (!get_bytes(env, args[2], packet, length) || *length < LENGTH_BYTES + TAG_BYTES || *length > INT32_MAX)
    return throw_type(env, "packet is too short"), false;
  return true;
}

static napi_value js_crypt(napi_env env, napi_callback_info info) {
  napi_value args[3], result;
  size_t count = 3, length;
  uint8_t *iv, *packet;
  EVP_CIPHER_CTX *cipher;
  napi_get_cb_info(env, info, &count, args, NULL, NULL);
  if (!get_packet(env, args, count, &cipher, &iv, &packet, &length)) return NULL;
  napi_get_boolean(env, crypt(cipher, iv, packet, length), &result);
  return result;
}

static napi_value js_seal(napi_env env, napi_callback_info info) {
  napi_value args[7], result;
  size_t count = 7, length, data_length;
  uint8_t *iv, *packet, *data;
  uint32_t at, start, end;
  EVP_CIPHER_CTX *cipher;
  napi_get_cb_info(env, info, &count, args, NULL, NULL);
  if (!get_packet(env, args, count, &cipher, &iv, &packet, &length)) return NULL;
  if (!EVP_CIPHER_CTX_encrypting(cipher)) return throw_type(env, "cipher must be one that encrypts");
  if (count < 7 || napi_get_value_uint32(env, args[3], &at) != napi_ok || !get_bytes(env, args[4], &data, &data_length) ||
      napi_get_value_uint32(env, args[5], &start) != napi_ok || napi_get_value_uint32(env, args[6], &end) != napi_ok ||
      start > end || end > data_length)
    return throw_type(env, "data must be a range of a buffer");
  if (at < LENGTH_BYTES || at > length - TAG_BYTES || end - start > length - TAG_BYTES - at)
    return throw_type(env, "data must fit into the packet");
  napi_get_boolean(env, seal(cipher, iv, packet, length, at, data + start, end - start), &result);
  return result;
}

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "create", NAPI_AUTO_LENGTH, js_create, NULL, &function);
  napi_set_named_property(env, exports, "create", function);
  napi_create_function(env, "crypt", NAPI_AUTO_LENGTH, js_crypt, NULL, &function);
  napi_set_named_property(env, exports, "crypt", function);
  napi_create_function(env, "seal", NAPI_AUTO_LENGTH, js_seal, NULL, &function);
  napi_set_named_property(env, exports, "seal", function);
  return exports;
}

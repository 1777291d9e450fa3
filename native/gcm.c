// AES-GCM of SSH packets (RFC 5647). It reads data from where it lies and writes into memory that is there already; node:crypto
// makes a cipher object and fresh memory for each packet. This addon needs only what the Node that loads it brings (OpenSSL among
// it) and names no C library. So one file serves all images of an architecture, whichever libc they have.
//
// create(key, encrypt) -> cipher: 16 or 32 bytes make it AES-128 or AES-256
// encrypt(cipher, iv, packet) -> done: iv of 12 bytes; packet is length (4 bytes, clear), body, tag (16), in place
// seal(cipher, iv, packet, at, data, start, end) -> done: encrypts a packet whose bytes from `at` on are data[start .. end), which
//   lies elsewhere and stays as it is: the memory of the packet is then written once
// open(cipher, iv, memory, at, data, start, end) -> done: decrypts data[start .. end), a piece of a packet's body, to memory[at ..).
//   With an iv a packet begins, whose length is in the 4 bytes before `at`; without one the last packet goes on. What is
//   decrypted must not be used before `isAuthentic` has said true
// isAuthentic(cipher, memory, at) -> true if memory[at .. at + 16) is the tag of the packet that was opened
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

static bool encrypt(EVP_CIPHER_CTX *cipher, const uint8_t *iv, uint8_t *packet, size_t length) {
  uint8_t *body = packet + LENGTH_BYTES, *tag = packet + length - TAG_BYTES;
  int body_bytes = (int)(length - LENGTH_BYTES - TAG_BYTES), written;
  if (!begin(cipher, iv, packet)) return false;
  if (EVP_CipherUpdate(cipher, body, &written, body, body_bytes) != 1) return false;
  if (EVP_CipherFinal_ex(cipher, body + written, &written) != 1) return false;
  return EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) == 1;
}

// The blocks that are nothing but data are encrypted from where they lie. What shares a block with other bytes is copied.
static bool seal(EVP_CIPHER_CTX *cipher, const uint8_t *iv, uint8_t *packet, size_t length, size_t at, const uint8_t *data,
                 size_t size) {
  uint8_t *body = packet + LENGTH_BYTES, *end = packet + length - TAG_BYTES;
  size_t head = (at - LENGTH_BYTES + BLOCK - 1) / BLOCK * BLOCK, first = head - (at - LENGTH_BYTES);
  if (size < first + BLOCK) {
    memcpy(packet + at, data, size);
    return encrypt(cipher, iv, packet, length);
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

// A cipher of `create` that goes in this direction; false when an exception was thrown.
static bool get_cipher(napi_env env, napi_value value, bool encrypts, EVP_CIPHER_CTX **cipher) {
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external ||
      napi_get_value_external(env, value, (void **)cipher) != napi_ok)
    return throw_type(env, "cipher must come from create"), false;
  if ((EVP_CIPHER_CTX_encrypting(*cipher) != 0) != encrypts)
    return throw_type(env, encrypts ? "cipher must be one that encrypts" : "cipher must be one that decrypts"), false;
  return true;
}

static bool get_iv(napi_env env, napi_value value, uint8_t **iv) {
  size_t length;
  if (!get_bytes(env, value, iv, &length) || length != IV_BYTES) return throw_type(env, "iv must be 12 bytes"), false;
  return true;
}

// The first three arguments of encrypt and seal; false when an exception was thrown.
static bool get_packet(napi_env env, const napi_value *args, size_t count, EVP_CIPHER_CTX **cipher, uint8_t **iv,
                       uint8_t **packet, size_t *length) {
  if (count < 3) return throw_type(env, "an argument is missing"), false;
  if (!get_cipher(env, args[0], true, cipher) || !get_iv(env, args[1], iv)) return false;
  if (!get_bytes(env, args[2], packet, length) || *length < LENGTH_BYTES + TAG_BYTES || *length > INT32_MAX)
    return throw_type(env, "packet is too short"), false;
  return true;
}

// The last three arguments of seal and open; false when an exception was thrown.
static bool get_range(napi_env env, const napi_value *args, uint8_t **data, uint32_t *start, uint32_t *end) {
  size_t length;
  if (!get_bytes(env, args[0], data, &length) || napi_get_value_uint32(env, args[1], start) != napi_ok ||
      napi_get_value_uint32(env, args[2], end) != napi_ok || *start > *end || *end > length || *end > INT32_MAX)
    return throw_type(env, "data must be a range of a buffer"), false;
  return true;
}

static napi_value js_encrypt(napi_env env, napi_callback_info info) {
  napi_value args[3], result;
  size_t count = 3, length;
  uint8_t *iv, *packet;
  EVP_CIPHER_CTX *cipher;
  napi_get_cb_info(env, info, &count, args, NULL, NULL);
  if (!get_packet(env, args, count, &cipher, &iv, &packet, &length)) return NULL;
  napi_get_boolean(env, encrypt(cipher, iv, packet, length), &result);
  return result;
}

static napi_value js_seal(napi_env env, napi_callback_info info) {
  napi_value args[7], result;
  size_t count = 7, length;
  uint8_t *iv, *packet, *data;
  uint32_t at, start, end;
  EVP_CIPHER_CTX *cipher;
  napi_get_cb_info(env, info, &count, args, NULL, NULL);
  if (!get_packet(env, args, count, &cipher, &iv, &packet, &length)) return NULL;
  if (count < 7 || napi_get_value_uint32(env, args[3], &at) != napi_ok) return throw_type(env, "at must be a number");
  if (!get_range(env, args + 4, &data, &start, &end)) return NULL;
  if (at < LENGTH_BYTES || at > length - TAG_BYTES || end - start > length - TAG_BYTES - at)
    return throw_type(env, "data must fit into the packet");
  napi_get_boolean(env, seal(cipher, iv, packet, length, at, data + start, end - start), &result);
  return result;
}

static napi_value js_open(napi_env env, napi_callback_info info) {
  napi_value args[7], result;
  size_t count = 7, length;
  napi_valuetype type;
  uint8_t *iv = NULL, *memory, *data;
  uint32_t at, start, end;
  EVP_CIPHER_CTX *cipher;
  int written;
  napi_get_cb_info(env, info, &count, args, NULL, NULL);
  if (count < 7 || napi_typeof(env, args[1], &type) != napi_ok) return throw_type(env, "an argument is missing");
  if (!get_cipher(env, args[0], false, &cipher)) return NULL;
  if (type != napi_undefined && !get_iv(env, args[1], &iv)) return NULL;
  if (!get_bytes(env, args[2], &memory, &length) || napi_get_value_uint32(env, args[3], &at) != napi_ok)
    return throw_type(env, "memory must be a buffer, and at a number");
  if (!get_range(env, args + 4, &data, &start, &end)) return NULL;
  if ((iv && at < LENGTH_BYTES) || at > length || end - start > length - at)
    return throw_type(env, "data must fit into the memory");
  bool done = (!iv || begin(cipher, iv, memory + at - LENGTH_BYTES)) &&
              EVP_CipherUpdate(cipher, memory + at, &written, data + start, (int)(end - start)) == 1;
  napi_get_boolean(env, done, &result);
  return result;
}

static napi_value js_is_authentic(napi_env env, napi_callback_info info) {
  napi_value args[3], result;
  size_t count = 3, length;
  uint8_t *memory, nothing[BLOCK];
  uint32_t at;
  EVP_CIPHER_CTX *cipher;
  int written;
  napi_get_cb_info(env, info, &count, args, NULL, NULL);
  if (count < 3) return throw_type(env, "an argument is missing");
  if (!get_cipher(env, args[0], false, &cipher)) return NULL;
  if (!get_bytes(env, args[1], &memory, &length) || napi_get_value_uint32(env, args[2], &at) != napi_ok || at > length ||
      length - at < TAG_BYTES)
    return throw_type(env, "the tag must lie in the memory");
  bool authentic = EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, memory + at) == 1 &&
                   EVP_CipherFinal_ex(cipher, nothing, &written) == 1;
  napi_get_boolean(env, authentic, &result);
  return result;
}

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "create", NAPI_AUTO_LENGTH, js_create, NULL, &function);
  napi_set_named_property(env, exports, "create", function);
  napi_create_function(env, "encrypt", NAPI_AUTO_LENGTH, js_encrypt, NULL, &function);
  napi_set_named_property(env, exports, "encrypt", function);
  napi_create_function(env, "seal", NAPI_AUTO_LENGTH, js_seal, NULL, &function);
  napi_set_named_property(env, exports, "seal", function);
  napi_create_function(env, "open", NAPI_AUTO_LENGTH, js_open, NULL, &function);
  napi_set_named_property(env, exports, "open", function);
  napi_create_function(env, "isAuthentic", NAPI_AUTO_LENGTH, js_is_authentic, NULL, &function);
  napi_set_named_property(env, exports, "isAuthentic", function);
  return exports;
}

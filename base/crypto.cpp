// OpenSSL 3 behind plain functions. A failure of the library itself is a broken invariant; only
// what came from outside is judged as a value.
#include "base/crypto.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/x509.h>

#include <mutex>
#include <vector>

#include "base/random.hpp"

namespace sara::crypto {
namespace {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using MacContext = std::unique_ptr<EVP_MAC_CTX, Freer<EVP_MAC_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Freer<EVP_CIPHER_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;

constexpr std::size_t nonce_bytes = 12;
constexpr std::size_t tag_bytes = 16;

const unsigned char* bytes_of(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}
unsigned char* bytes_of(std::string& s) {
  return reinterpret_cast<unsigned char*>(s.data());
}

/// Fetched once: a fetch by name takes locks and costs more than the hash of a short text.
const EVP_MD* sha256_method() {
  static EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA2-256", nullptr);
  ensure(method != nullptr, "no SHA-256");
  return method;
}

const EVP_CIPHER* aes_gcm() {
  static EVP_CIPHER* const method = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  ensure(method != nullptr, "no AES-256-GCM");
  return method;
}

bool is_p256(EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return false;
  char name[32];
  std::size_t length = 0;
  return EVP_PKEY_get_group_name(key, name, sizeof name, &length) == 1 &&
         std::string_view(name, length) == "prime256v1";
}

constexpr std::string_view base64_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view base64url_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

using DecodeTable = std::array<signed char, 256>;
constexpr DecodeTable decode_table(std::string_view alphabet) {
  DecodeTable table{};
  table.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<signed char>(i);
  return table;
}
constexpr DecodeTable base64_table = decode_table(base64_alphabet);
constexpr DecodeTable base64url_table = decode_table(base64url_alphabet);

std::string encode64(std::string_view in, std::string_view alphabet, bool pad) {
  std::string out;
  out.reserve((in.size() + 2) / 3 * 4);
  std::size_t i = 0;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned>(bytes_of(in)[at]); };
  for (; i + 3 <= in.size(); i += 3) {
    const unsigned v = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (int shift = 18; shift >= 0; shift -= 6) out += alphabet[(v >> shift) & 63];
  }
  if (const std::size_t rest = in.size() - i; rest != 0) {
    const unsigned v = byte(i) << 16 | (rest == 2 ? byte(i + 1) << 8 : 0);
    out += alphabet[v >> 18];
    out += alphabet[(v >> 12) & 63];
    if (rest == 2) out += alphabet[(v >> 6) & 63];
    if (pad) out.append(3 - rest, '=');
  }
  return out;
}

/// Decodes digits without padding. The unused bits of the last digit must be zero, so that a value
/// has one spelling only.
Result<std::string> decode64(std::string_view in, const DecodeTable& table) {
  if (in.size() % 4 == 1) return fail(Errc::malformed, "not base64");
  std::string out;
  out.reserve(in.size() / 4 * 3 + 2);
  unsigned bits = 0;
  unsigned count = 0;
  for (const char c : in) {
    const int digit = table[static_cast<unsigned char>(c)];
    if (digit < 0) return fail(Errc::malformed, "not base64");
    bits = (bits << 6 | static_cast<unsigned>(digit)) & 0xFFFF;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count);
    }
  }
  if ((bits & ((1u << count) - 1)) != 0) return fail(Errc::malformed, "not base64");
  return out;
}

}  // namespace

Sha256 sha256(std::string_view data) {
  Sha256 out;
  ensure(EVP_Digest(data.data(), data.size(), out.data(), nullptr, sha256_method(), nullptr) == 1,
         "SHA-256 failed");
  return out;
}

/// Contexts that carry the key already. A free one is restarted, which costs less than a copy of
/// the prototype; a copy is made only when as many threads sign at once as never before.
struct HmacKey::Impl {
  MacContext prototype;
  std::mutex mutex;
  std::vector<MacContext> free;

  MacContext take() {
    {
      const std::lock_guard lock(mutex);
      if (!free.empty()) {
        MacContext taken = std::move(free.back());
        free.pop_back();
        return taken;
      }
    }
    MacContext made(EVP_MAC_CTX_dup(prototype.get()));
    ensure(made != nullptr, "HMAC copy failed");
    return made;
  }
  void give_back(MacContext used) {
    constexpr std::size_t kept_max = 16;
    const std::lock_guard lock(mutex);
    if (free.size() < kept_max) free.push_back(std::move(used));
  }
};

HmacKey::HmacKey(Hash hash, std::string_view key) : impl_(std::make_unique<Impl>()) {
  static EVP_MAC* const method = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  ensure(method != nullptr, "no HMAC");
  impl_->prototype.reset(EVP_MAC_CTX_new(method));
  char name_sha1[] = "SHA1";
  char name_sha256[] = "SHA256";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                       hash == Hash::sha1 ? name_sha1 : name_sha256, 0),
      OSSL_PARAM_construct_end()};
  // An empty key is legal, but a null pointer would mean "keep the key".
  const unsigned char none = 0;
  ensure(EVP_MAC_init(impl_->prototype.get(), key.empty() ? &none : bytes_of(key), key.size(),
                      params) == 1,
         "HMAC failed");
}
HmacKey::HmacKey(HmacKey&&) noexcept = default;
HmacKey& HmacKey::operator=(HmacKey&&) noexcept = default;
HmacKey::~HmacKey() = default;

std::string HmacKey::sign(std::string_view data) const {
  return sign(std::span<const std::string_view>(&data, 1));
}

std::string HmacKey::sign(std::span<const std::string_view> parts) const {
  MacContext context = impl_->take();
  ensure(EVP_MAC_init(context.get(), nullptr, 0, nullptr) == 1, "HMAC failed");
  for (const auto part : parts)
    ensure(EVP_MAC_update(context.get(), bytes_of(part), part.size()) == 1, "HMAC failed");
  std::array<unsigned char, 32> out;
  std::size_t length = 0;
  ensure(EVP_MAC_final(context.get(), out.data(), &length, out.size()) == 1, "HMAC failed");
  impl_->give_back(std::move(context));
  return {reinterpret_cast<const char*>(out.data()), length};
}

struct EcdsaPublicKey::Impl {
  Key key;
};
EcdsaPublicKey::EcdsaPublicKey() : impl_(std::make_unique<Impl>()) {}
EcdsaPublicKey::EcdsaPublicKey(EcdsaPublicKey&&) noexcept = default;
EcdsaPublicKey& EcdsaPublicKey::operator=(EcdsaPublicKey&&) noexcept = default;
EcdsaPublicKey::~EcdsaPublicKey() = default;

Result<EcdsaPublicKey> EcdsaPublicKey::parse(std::string_view der_base64) {
  const auto der = from_base64(der_base64);
  if (!der) return fail(Errc::malformed, "not a public key in base64");
  const unsigned char* at = bytes_of(*der);
  const unsigned char* const end = at + der->size();
  EcdsaPublicKey made;
  made.impl_->key.reset(d2i_PUBKEY(nullptr, &at, static_cast<long>(der->size())));
  if (!made.impl_->key || at != end || !is_p256(made.impl_->key.get()))
    return fail(Errc::malformed, "not a public key of the curve P-256");
  return made;
}

bool EcdsaPublicKey::verify(std::span<const std::string_view> parts,
                            std::string_view der_signature) const {
  const DigestContext context(EVP_MD_CTX_new());
  ensure(context && EVP_DigestVerifyInit(context.get(), nullptr, sha256_method(), nullptr,
                                         impl_->key.get()) == 1,
         "ECDSA failed");
  for (const auto part : parts)
    ensure(EVP_DigestVerifyUpdate(context.get(), part.data(), part.size()) == 1, "ECDSA failed");
  // Anything but 1 is a refusal: 0 is a wrong signature, a negative number is no DER at all.
  return EVP_DigestVerifyFinal(context.get(), bytes_of(der_signature), der_signature.size()) == 1;
}

struct EcdsaPrivateKey::Impl {
  Key key;
};
EcdsaPrivateKey::EcdsaPrivateKey() : impl_(std::make_unique<Impl>()) {}
EcdsaPrivateKey::EcdsaPrivateKey(EcdsaPrivateKey&&) noexcept = default;
EcdsaPrivateKey::~EcdsaPrivateKey() = default;

EcdsaPrivateKey EcdsaPrivateKey::generate() {
  EcdsaPrivateKey made;
  made.impl_->key.reset(EVP_EC_gen("P-256"));
  ensure(made.impl_->key != nullptr, "ECDSA failed");
  return made;
}

std::string EcdsaPrivateKey::public_der_base64() const {
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(impl_->key.get(), &der);
  ensure(length > 0, "ECDSA failed");
  const std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return to_base64(bytes);
}

std::string EcdsaPrivateKey::sign(std::span<const std::string_view> parts) const {
  const DigestContext context(EVP_MD_CTX_new());
  ensure(context && EVP_DigestSignInit(context.get(), nullptr, sha256_method(), nullptr,
                                       impl_->key.get()) == 1,
         "ECDSA failed");
  for (const auto part : parts)
    ensure(EVP_DigestSignUpdate(context.get(), part.data(), part.size()) == 1, "ECDSA failed");
  std::size_t length = 0;
  ensure(EVP_DigestSignFinal(context.get(), nullptr, &length) == 1, "ECDSA failed");
  std::string out(length, '\0');
  ensure(EVP_DigestSignFinal(context.get(), bytes_of(out), &length) == 1, "ECDSA failed");
  out.resize(length);
  return out;
}

bool equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string to_hex(std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

Result<std::string> from_hex(std::string_view hex) {
  const auto value = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  if (hex.size() % 2 != 0) return fail(Errc::malformed, "not hex");
  std::string out;
  out.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = value(hex[i]);
    const int low = value(hex[i + 1]);
    if (high < 0 || low < 0) return fail(Errc::malformed, "not hex");
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

std::string to_base64(std::string_view bytes) {
  return encode64(bytes, base64_alphabet, true);
}
std::string to_base64url(std::string_view bytes) {
  return encode64(bytes, base64url_alphabet, false);
}

Result<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return fail(Errc::malformed, "not base64");
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return decode64(text, base64_table);
}
Result<std::string> from_base64url(std::string_view text) {
  return decode64(text, base64url_table);
}

std::string seal(std::string_view key, std::string_view plaintext, std::string_view associated) {
  ensure(key.size() == 32, "a sealing key has 32 bytes");
  std::string out(nonce_bytes + plaintext.size() + tag_bytes, '\0');
  unsigned char* const nonce = bytes_of(out);
  unsigned char* const body = nonce + nonce_bytes;
  random_bytes({nonce, nonce_bytes});
  const CipherContext context(EVP_CIPHER_CTX_new());
  int length = 0;
  const bool done =
      context &&
      EVP_EncryptInit_ex2(context.get(), aes_gcm(), bytes_of(key), nonce, nullptr) == 1 &&
      EVP_EncryptUpdate(context.get(), nullptr, &length, bytes_of(associated),
                        static_cast<int>(associated.size())) == 1 &&
      EVP_EncryptUpdate(context.get(), body, &length, bytes_of(plaintext),
                        static_cast<int>(plaintext.size())) == 1 &&
      EVP_EncryptFinal_ex(context.get(), body + plaintext.size(), &length) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, tag_bytes,
                          body + plaintext.size()) == 1;
  ensure(done, "AES-GCM failed");
  return out;
}

Result<std::string> open(std::string_view key, std::string_view sealed,
                         std::string_view associated) {
  ensure(key.size() == 32, "a sealing key has 32 bytes");
  if (sealed.size() < nonce_bytes + tag_bytes) return fail(Errc::bad_signature, "too short");
  const auto nonce = sealed.substr(0, nonce_bytes);
  const auto body = sealed.substr(nonce_bytes, sealed.size() - nonce_bytes - tag_bytes);
  std::string tag(sealed.substr(sealed.size() - tag_bytes));
  std::string out(body.size(), '\0');
  const CipherContext context(EVP_CIPHER_CTX_new());
  int length = 0;
  ensure(context &&
             EVP_DecryptInit_ex2(context.get(), aes_gcm(), bytes_of(key), bytes_of(nonce),
                                 nullptr) == 1 &&
             EVP_DecryptUpdate(context.get(), nullptr, &length, bytes_of(associated),
                               static_cast<int>(associated.size())) == 1 &&
             EVP_DecryptUpdate(context.get(), bytes_of(out), &length, bytes_of(body),
                               static_cast<int>(body.size())) == 1 &&
             EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, tag_bytes, tag.data()) == 1,
         "AES-GCM failed");
  unsigned char rest[16];
  if (EVP_DecryptFinal_ex(context.get(), rest, &length) != 1) {
    cleanse(out);
    return fail(Errc::bad_signature, "another key, other associated data, or changed bytes");
  }
  return out;
}

void cleanse(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

}  // namespace sara::crypto

// Known answers for hashes, MACs and encodings; round trips and refusals for the rest.
#include "base/crypto.hpp"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

using namespace sara;
using crypto::HmacKey;

namespace {

template <class T>
Errc code_of(const Result<T>& result) {
  return result ? Errc::ok : result.error().code;
}

std::string bytes(const crypto::Sha256& hash) {
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

}  // namespace

TEST_CASE("crypto: SHA-256 of the empty and of a short text") {
  CHECK(crypto::to_hex(bytes(crypto::sha256(""))) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(crypto::to_hex(bytes(crypto::sha256("abc"))) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("crypto: HMAC of RFC 2202 and RFC 4231") {
  const std::string_view data = "what do ya want for nothing?";
  CHECK(crypto::to_hex(HmacKey(HmacKey::Hash::sha1, "Jefe").sign(data)) ==
        "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  const HmacKey key(HmacKey::Hash::sha256, "Jefe");
  const std::string expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
  CHECK(crypto::to_hex(key.sign(data)) == expected);
  const std::string_view parts[] = {"what do ya ", "", "want for nothing?"};
  CHECK(crypto::to_hex(key.sign(parts)) == expected);
  const std::string long_key(131, '\xaa');
  CHECK(crypto::to_hex(HmacKey(HmacKey::Hash::sha256, long_key)
                           .sign("Test Using Larger Than Block-Size Key - Hash Key First")) ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  CHECK(HmacKey(HmacKey::Hash::sha256, "").sign("").size() == 32);
}

TEST_CASE("crypto: one HMAC key signs in several threads") {
  const HmacKey key(HmacKey::Hash::sha256, "Jefe");
  const std::string expected = key.sign("text");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) wrong[t] += key.sign("text") != expected;
    });
  for (auto& thread : threads) thread.join();
  for (const int w : wrong) CHECK(w == 0);
}

TEST_CASE("crypto: ECDSA accepts its own signature and no other") {
  const auto key = crypto::EcdsaPrivateKey::generate();
  const auto pub = crypto::EcdsaPublicKey::parse(key.public_der_base64());
  REQUIRE(pub);
  const std::string_view parts[] = {"1700000005", "body"};
  const std::string signature = key.sign(parts);
  CHECK(pub->verify(parts, signature));
  const std::string_view joined[] = {"1700000005body"};
  CHECK(pub->verify(joined, signature));
  const std::string_view other[] = {"1700000006", "body"};
  CHECK_FALSE(pub->verify(other, signature));
  CHECK_FALSE(pub->verify(parts, ""));
  CHECK_FALSE(pub->verify(parts, signature + '\0'));
  CHECK_FALSE(pub->verify(parts, signature.substr(1)));
  CHECK_FALSE(pub->verify(parts, std::string(64, 'a')));
}

TEST_CASE("crypto: only a P-256 public key is taken") {
  CHECK(crypto::EcdsaPublicKey::parse(
      "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENgobIu2gOLLVdOSRRuj2xG2NYwoFQwgyw6XJOClEe/"
      "rK4O4M7hSTBP5htaDGSNtc6Gx25FFsfL+KNEsic5PUSA=="));
  for (const char* bad : {"", "AAAA", "not base64!",
                          // Ed25519.
                          "MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg="})
    CHECK(code_of(crypto::EcdsaPublicKey::parse(bad)) == Errc::malformed);
}

TEST_CASE("crypto: base64 and hex are strict") {
  for (const auto& [plain, text] : {std::pair{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg=="},
                                    {"fooba", "Zm9vYmE="}}) {
    CHECK(crypto::to_base64(plain) == text);
    CHECK(crypto::from_base64(text).value_or("?") == plain);
  }
  for (const char* bad :
       {"Zg", "Zg=", "Z===", "====", "Zm9v\n", " Zm9v", "Zh==", "Zm9=", "Zm-v", "Zg==Zg=="})
    CHECK_FALSE(crypto::from_base64(bad));
  CHECK(crypto::to_base64url("\xfb\xff") == "-_8");
  CHECK(crypto::from_base64url("-_8").value_or("?") == "\xfb\xff");
  CHECK_FALSE(crypto::from_base64url("-_8="));
  CHECK(crypto::to_hex("\x01\xab") == "01ab");
  CHECK(crypto::from_hex("01AB").value_or("?") == "\x01\xab");
  CHECK_FALSE(crypto::from_hex("0"));
  CHECK_FALSE(crypto::from_hex("0g"));
}

TEST_CASE("crypto: a sealed secret opens with its key and its place only") {
  const std::string key(32, 'k');
  const std::string sealed = crypto::seal(key, "secret", "tenant|row");
  CHECK(sealed.size() == 12 + 6 + 16);
  CHECK(crypto::open(key, sealed, "tenant|row").value_or("?") == "secret");
  CHECK(crypto::seal(key, "secret", "tenant|row") != sealed);
  CHECK(crypto::open(key, crypto::seal(key, "", ""), "").value_or("?").empty());
  CHECK_FALSE(crypto::open(key, sealed, "tenant|other"));
  CHECK_FALSE(crypto::open(std::string(32, 'x'), sealed, "tenant|row"));
  CHECK_FALSE(crypto::open(key, sealed.substr(0, 20), "tenant|row"));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK_FALSE(crypto::open(key, changed, "tenant|row"));
  }
}

TEST_CASE("crypto: comparison and cleansing") {
  CHECK(crypto::equal("abc", "abc"));
  CHECK(crypto::equal("", ""));
  CHECK_FALSE(crypto::equal("abc", "abd"));
  CHECK_FALSE(crypto::equal("abc", "ab"));
  std::string secret = "secret";
  crypto::cleanse(secret);
  CHECK(secret.empty());
}

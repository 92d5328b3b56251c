// The sandbox's own protocol.
#include "providers/channels/sandbox.hpp"

#include "providers/signing.hpp"
#include "tests/providers/support.hpp"

using namespace sara;
using namespace sara::providers;

namespace {

Sent sent(const std::string& body, const std::string& secret = "s3cret") {
  Sent out;
  out.body = body;
  out.headers["X-Sandbox-Signature"] = sign_sandbox(secret, body);
  return out;
}

const ChannelCodec& codec() {
  static const auto made = codec_of(domain::Provider::sandbox, {{"secret", "s3cret"}});
  return *made;
}

}  // namespace

TEST_CASE("sandbox: statuses and messages") {
  const auto received = receive(codec(), sent(R"({"events":[
    {"type":"status","id":"ev1","message_id":"sbx_1","status":"delivered","at_ms":1700000000123,"reference":"our-1"},
    {"type":"status","id":"ev2","message_id":"sbx_2","status":"failed","at_ms":1700000000124,"error":{"code":"30003","detail":"away"}},
    {"type":"message","id":"in1","channel":"sms","from":"+15550100777","to":"+15550100001","name":"Ana","text":"hi","at_ms":1700000000125},
    {"type":"message","id":"in2","channel":"email","from":"ana@Example.COM","to":"x@y.example","subject":"S","text":"t","attachments":[{"type":"image","url":"https://e.example/i.png","name":"i.png","size":7}]},
    {"type":"message","id":"in3","channel":"pigeon","from":"a"},
    {"type":"dance"},{"type":"status","message_id":"sbx_3","status":"lost"},{},7]})"));
  CHECK(story(received) ==
        "receipt none delivered id=sbx_1 at=1700000000123 event=delivered ref=our-1\n"
        "receipt none failed id=sbx_2 at=1700000000124 event=failed code=30003 detail=away\n"
        "inbound sms id=in1 from=+15550100777 to=+15550100001 name=Ana body=hi at=1700000000125\n"
        "inbound email id=in2 from=ana@example.com to=x@y.example subject=S body=t "
        "file=image|https://e.example/i.png|i.png|7\n"
        "unusable a message needs id, channel and from\n"
        "kept event:dance\n"
        "kept status:lost\n"
        "unusable an event without a type\n"
        "unusable an event without a type");
  CHECK(keys(received).starts_with("x/sbx_1:ev1 x/sbx_2:ev2 x/in1 x/in2 x/#"));
  for (const auto& event : *received) {
    const auto again = receive(codec(), sent(event.raw));
    REQUIRE(again);
    CHECK(story(again) == line(event));
  }
}

TEST_CASE("sandbox: only its own signature is taken") {
  Sent good = sent(R"({"events":[]})");
  CHECK(story(receive(codec(), good)).empty());
  CHECK(story(receive(codec(), sent(good.body, "other"))) == "bad_signature");
  Sent changed = good;
  changed.body += " ";
  CHECK(story(receive(codec(), changed)) == "bad_signature");
  changed = good;
  changed.headers.clear();
  CHECK(story(receive(codec(), changed)) == "bad_signature");
  changed = good;
  changed.content_type = "text/plain";
  CHECK(story(receive(codec(), changed)) == "unsupported_media");
  CHECK(story(receive(codec(), sent("{}"))) == "unusable no list of events");
  CHECK(story(receive(codec(), sent("nope"))).starts_with("unusable not JSON"));
}

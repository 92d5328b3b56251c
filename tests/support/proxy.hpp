// Stands between clients and Postgres and cuts a connection at COMMIT: before Postgres hears of it,
// after it has committed and before the client hears so, or so that Postgres hears of it when the
// client has long turned to another connection.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace sara::test {

class Proxy {
 public:
  enum class Cut { never, before_commit, after_commit, late_commit };

  /// url: libpq's keywords or its URI; its host is a folder.
  explicit Proxy(const std::string& url) {
    auto from = url.find("host=") + 5;
    auto host = url.substr(from, url.find_first_of(" &", from) - from);
    server_ = host + "/.s.PGSQL.5432";
    std::string made = (std::filesystem::temp_directory_path() / "sara-cut-XXXXXX").string();
    folder_ = mkdtemp(made.data());
    url_ = url;
    url_.replace(from, host.size(), folder_);
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto name = address(folder_ + "/.s.PGSQL.5432");
    (void)bind(listener_, reinterpret_cast<sockaddr*>(&name), sizeof name);
    (void)listen(listener_, 64);
    thread_ = std::thread([this] { serve(); });
  }
  ~Proxy() {
    stopping_ = true;
    thread_.join();
    for (auto& line : lines_) line.close();
    close(listener_);
    std::filesystem::remove_all(folder_);
  }
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  const std::string& url() const { return url_; }
  /// The next COMMIT of a writing transaction is cut; later ones pass.
  void cut(Cut how) { cut_ = how; }
  /// Each so manieth is cut, before and after in turn; 0: none any more.
  void cut_every(int commits) { every_ = commits; }
  /// The next message of a client that holds this text gets no answer, but an end; or an answer and
  /// then an end, so that the client speaks to nobody next.
  void cut_at(const std::string& text, bool answered = false) {
    cut_text_ = text;
    cut_answered_ = answered;
    cut_at_text_ = true;
  }
  bool has_cut() const { return cuts_ > 0; }
  int cuts() const { return cuts_; }

 private:
  static constexpr int silent_rounds = 5;
  /// One client's connection and ours for it.
  struct Line {
    int client = -1;
    int server = -1;
    bool reads_only = false;  ///< its transaction
    bool swallow = false;     ///< a COMMIT is with Postgres whose answer nobody shall hear
    bool last = false;        ///< the next answer is the last that it hears
    bool ended = false;
    std::string late;  ///< a COMMIT on its way, whose client is gone
    int silent = 0;    ///< rounds in which nobody said anything, since then

    void deliver() {
      ended = write(server, late.data(), late.size()) != static_cast<ssize_t>(late.size());
      late.clear();
    }
    void close() const {
      if (client >= 0) ::close(client);
      ::close(server);
    }
  };

  static sockaddr_un address(const std::string& path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof name.sun_path - 1);
    return name;
  }

  void serve() {
    while (!stopping_) {
      std::vector<pollfd> all{{listener_, POLLIN, 0}};
      for (auto& line : lines_) {
        all.push_back({line.client, POLLIN, 0});
        all.push_back({line.server, POLLIN, 0});
      }
      // Not a matter of timing: only the destructor waits for this.
      auto heard = poll(all.data(), all.size(), 20);
      if (heard < 0) return;
      for (auto& line : lines_)
        if (!line.late.empty() && heard == 0 && ++line.silent > silent_rounds) line.deliver();
      for (std::size_t i = 1; i < all.size(); ++i)
        if (auto& line = lines_[(i - 1) / 2];
            (all[i].revents & (POLLIN | POLLHUP)) != 0 && !line.ended)
          line.ended = !relay(line, i % 2 == 1);
      for (auto& line : lines_)
        if (line.ended) line.close();
      std::erase_if(lines_, [](const Line& line) { return line.ended; });
      if ((all[0].revents & POLLIN) != 0) take();
    }
  }

  void take() {
    Line line;
    line.client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    line.server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto name = address(server_);
    if (connect(line.server, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0)
      lines_.push_back(line);
    else
      line.close();
  }

  /// Passes on what one side has said. False: the connection has ended, or is cut.
  bool relay(Line& line, bool from_client) {
    std::array<char, 65536> bytes;
    auto n = read(from_client ? line.client : line.server, bytes.data(), bytes.size());
    if (n <= 0) return false;
    std::string_view text(bytes.data(), static_cast<std::size_t>(n));
    if (from_client && cut_at_text_ && text.find(cut_text_) != text.npos) {
      cut_at_text_ = false;
      ++cuts_;
      if (!cut_answered_) return false;
      line.last = true;
    }
    if (from_client && text.find("BEGIN") != text.npos)
      line.reads_only = text.find("BEGIN READ ONLY") != text.npos;
    if (line.swallow && !from_client) return false;  // Postgres has answered: it is committed.
    if (from_client && !line.reads_only && text.find("COMMIT") != text.npos) {
      auto how = next_cut();
      if (how != Cut::never) ++cuts_;
      if (how == Cut::before_commit) return false;
      line.swallow = how == Cut::after_commit || how == Cut::late_commit;
      if (how == Cut::late_commit) {
        line.late = text;
        ::close(line.client);
        line.client = -1;
        return true;
      }
    }
    auto passed = write(from_client ? line.server : line.client, bytes.data(), text.size());
    return passed == n && !(line.last && !from_client);
  }

  Cut next_cut() {
    if (auto asked = cut_.exchange(Cut::never); asked != Cut::never) return asked;
    if (every_ == 0 || ++commits_ % every_ != 0) return Cut::never;
    return cuts_ % 2 == 0 ? Cut::before_commit : Cut::after_commit;
  }

  std::string server_;
  std::string folder_;
  std::string url_;
  int listener_ = -1;
  std::vector<Line> lines_;
  int commits_ = 0;
  std::atomic<Cut> cut_{Cut::never};
  std::string cut_text_;
  std::atomic<bool> cut_answered_{false};
  std::atomic<bool> cut_at_text_{false};
  std::atomic<int> every_{0};
  std::atomic<int> cuts_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace sara::test

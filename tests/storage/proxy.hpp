// Stands between a client and Postgres and cuts the connection at COMMIT: before Postgres hears of
// it, or after it has committed and before the client hears so.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <string>
#include <thread>

namespace sara::storage {

class Proxy {
 public:
  enum class Cut { never, before_commit, after_commit };

  /// url: libpq's keywords; its host is a folder.
  explicit Proxy(const std::string& url) {
    auto from = url.find("host=") + 5;
    auto host = url.substr(from, url.find(' ', from) - from);
    server_ = host + "/.s.PGSQL.5432";
    std::string made = (std::filesystem::temp_directory_path() / "sara-cut-XXXXXX").string();
    folder_ = mkdtemp(made.data());
    url_ = url;
    url_.replace(from, host.size(), folder_);
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto name = address(folder_ + "/.s.PGSQL.5432");
    (void)bind(listener_, reinterpret_cast<sockaddr*>(&name), sizeof name);
    (void)listen(listener_, 8);
    thread_ = std::thread([this] { serve(); });
  }
  ~Proxy() {
    stopping_ = true;
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
    std::filesystem::remove_all(folder_);
  }
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  const std::string& url() const { return url_; }
  /// The next COMMIT is cut; later ones pass.
  void cut(Cut how) { cut_ = how; }
  bool has_cut() const { return cuts_ > 0; }

 private:
  static sockaddr_un address(const std::string& path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof name.sun_path - 1);
    return name;
  }

  /// One client at a time: that is all a Connection needs.
  void serve() {
    while (!stopping_) {
      int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      auto name = address(server_);
      if (connect(server, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0)
        relay(client, server);
      close(client);
      close(server);
    }
  }

  void relay(int client, int server) {
    std::array<pollfd, 2> both{{{client, POLLIN, 0}, {server, POLLIN, 0}}};
    bool swallow = false;
    while (!stopping_) {
      // Not a matter of timing: only the destructor waits for this.
      if (poll(both.data(), both.size(), 20) < 0) return;
      for (auto& from : both) {
        if ((from.revents & (POLLIN | POLLHUP)) == 0) continue;
        std::array<char, 65536> bytes;
        auto n = read(from.fd, bytes.data(), bytes.size());
        if (n <= 0) return;
        std::string_view text(bytes.data(), static_cast<std::size_t>(n));
        bool commits = from.fd == client && text.find("COMMIT") != text.npos;
        if (commits && cut_ != Cut::never) {
          swallow = cut_.exchange(Cut::never) == Cut::after_commit;
          ++cuts_;
          if (!swallow) return;
        } else if (swallow && from.fd == server) {
          return;  // Postgres has answered: it is committed.
        }
        if (write(from.fd == client ? server : client, bytes.data(), text.size()) != n) return;
      }
    }
  }

  std::string server_;
  std::string folder_;
  std::string url_;
  int listener_ = -1;
  std::atomic<Cut> cut_{Cut::never};
  std::atomic<int> cuts_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace sara::storage

// Metrics for Prometheus. Handles are cheap to keep and safe to use from any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace sara::metric {

using Labels = std::map<std::string, std::string>;

class Counter {
 public:
  void add(double by = 1);
  double value() const;

 private:
  friend Counter counter(const std::string&, const std::string&, const Labels&);
  void* impl_ = nullptr;
};
class Gauge {
 public:
  void set(double value);
  void add(double by);

 private:
  friend Gauge gauge(const std::string&, const std::string&, const Labels&);
  void* impl_ = nullptr;
};
class Histogram {
 public:
  void observe(double value);

 private:
  friend Histogram histogram(const std::string&, const std::string&, const std::vector<double>&,
                             const Labels&);
  void* impl_ = nullptr;
};

/// The same name and labels give the same metric.
Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
Gauge gauge(const std::string& name, const std::string& help, const Labels& labels = {});
Histogram histogram(const std::string& name, const std::string& help,
                    const std::vector<double>& buckets, const Labels& labels = {});

/// Everything, in Prometheus' text format 0.0.4.
std::string expose();

}  // namespace sara::metric

// One registry of prometheus-cpp for the process. Metrics live as long as the process does.
#include "base/metric.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "base/result.hpp"

namespace sara::metric {
namespace {

/// Never destroyed: other threads may still count while statics are taken down.
prometheus::Registry& registry() {
  static auto* const instance =
      new prometheus::Registry(prometheus::Registry::InsertBehavior::Merge);
  return *instance;
}

/// A bad name, a bad label or one name for two kinds of metric is a bug of the caller.
template <class Make>
void* made(Make make) {
  try {
    return make();
  } catch (const std::exception& e) {
    throw BrokenInvariant(std::string("metric: ") + e.what());
  }
}

}  // namespace

void Counter::add(double by) {
  if (impl_) static_cast<prometheus::Counter*>(impl_)->Increment(by);
}
double Counter::value() const {
  return impl_ ? static_cast<prometheus::Counter*>(impl_)->Value() : 0;
}
void Gauge::set(double value) {
  if (impl_) static_cast<prometheus::Gauge*>(impl_)->Set(value);
}
void Gauge::add(double by) {
  if (impl_) static_cast<prometheus::Gauge*>(impl_)->Increment(by);
}
void Histogram::observe(double value) {
  if (impl_) static_cast<prometheus::Histogram*>(impl_)->Observe(value);
}

Counter counter(const std::string& name, const std::string& help, const Labels& labels) {
  Counter c;
  c.impl_ = made([&] {
    return &prometheus::BuildCounter().Name(name).Help(help).Register(registry()).Add(labels);
  });
  return c;
}

Gauge gauge(const std::string& name, const std::string& help, const Labels& labels) {
  Gauge g;
  g.impl_ = made([&] {
    return &prometheus::BuildGauge().Name(name).Help(help).Register(registry()).Add(labels);
  });
  return g;
}

Histogram histogram(const std::string& name, const std::string& help,
                    const std::vector<double>& buckets, const Labels& labels) {
  Histogram h;
  h.impl_ = made([&] {
    return &prometheus::BuildHistogram()
                .Name(name)
                .Help(help)
                .Register(registry())
                .Add(labels, prometheus::Histogram::BucketBoundaries(buckets));
  });
  return h;
}

std::string expose() {
  return prometheus::TextSerializer().Serialize(registry().Collect());
}

}  // namespace sara::metric

// Crash points: labelled places where a test lets the server die, as kill -9 would at that very
// moment (docs/adr/0007-crash-points.md). In the released binary nothing happens here: the body
// that obeys FAULT_POINT stands in tests/fault.cpp and is linked into the test's server alone.
#pragma once

namespace sara::fault {

/// One place, named after its file: "journal.begun". Each label stands once in the code and in the
/// table of tests/e2e/crash_point.cpp. It costs a call: once a transaction or message, never once
/// a byte.
void point(const char* label);

}  // namespace sara::fault

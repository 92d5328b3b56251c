// The root key, under which every stored credential is sealed. See base/crypto.hpp for the sealing.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sara::runtime {

/// The root key, 32 bytes: MADANSARA_SECRET_KEY (base64) or, outside production, the one kept in
/// <data_dir>/secret.key with mode 600, made on first use.
/// errors: invalid_argument - the key is missing in production, is not 32 bytes in base64, or its
///                            file can be read by others
///         unavailable      - the file cannot be read or made
Result<std::string> root_key(const std::filesystem::path& data_dir, std::string_view environment);

}  // namespace sara::runtime

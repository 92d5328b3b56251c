// GET /problems/{name}: the page behind the `type` of every error answer.
#pragma once

#include "http/router.hpp"

namespace sara::http {

void mount_problem_pages(Router& router);

}  // namespace sara::http

// Every feature's route table, mounted in one place.
#pragma once

#include "http/feed.hpp"
#include "http/router.hpp"
#include "http/service.hpp"

namespace sara::http {

void mount_webhooks(Router& router, Service& service);
void mount_integrations(Router& router, Service& service);
void mount_conversations(Router& router, Service& service);
void mount_attachments(Router& router, Service& service);
void mount_inbox(Router& router, Service& service, FeedHub& hub);
void mount_contacts(Router& router, Service& service);
void mount_operation(Router& router, Service& service, FeedHub& hub);
void mount_documents(Router& router);

}  // namespace sara::http

#pragma once
// Access: who calls over HTTPS, and what that caller may do. One function decides; its tests are a table.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "domain/device/identity.h"
#include "foundation/clock.h"
#include "service/endpoint/open_namespace.h"
#include "service/hub/device_authorities.h"
#include "service/hub/registry.h"

namespace nacelle::hub {

/// What a call asks for.
enum class Need {
  registry_read,   ///< devices, modules, statistics
  registry_write,  ///< and changes to them; artifacts in
  query,           ///< queries: of registry or service
  enrollment_read,
  enrollment_write,  ///< who may register
  registration_read,
  registration_write,  ///< who has registered
  owner,               ///< policies and their keys: all rights
  service,             ///< twins, events, routes, capture
  identity,            ///< the device or module named in the path, speaking for itself
  edge_device,         ///< the edge device named in the path
  edge_scope,          ///< the edge device named in the path, or its $edgeHub
  artifact,            ///< a service, or an edge device or one of its modules
};

/// A caller whose token was found good.
struct Caller {
  bool service = false;       ///< with a shared access policy; else the device or module itself
  std::string policy;         ///< its name; empty: itself
  device::Rights rights;      ///< of the policy
  device::IdentityName name;  ///< itself, or, with a policy's device_connect, the one the path names
  bool edge = false;          ///< its device is an edge device
  bool certificate = false;   ///< it showed one, and no token
};

/// Whether `caller` may do what `need` says to `target` (the device or module named in the path; empty if none).
bool allowed(Need need, const Caller& caller, const device::IdentityName& target);

class Access {
 public:
  /// `hub_names`: the hub's name and its aliases; with any port they are the same.
  /// `authorities`: who checks client certificates.
  Access(const Registry& registry, DeviceAuthorities& authorities, std::vector<std::string> hub_names, const Clock& clock)
      : registry_(registry), authorities_(authorities), hub_names_(std::move(hub_names)), clock_(clock) {}

  /// The caller behind an Authorization header; without one, the device or module that `target` names, if the certificates the
  /// client showed (leaf first) are its own. Fault::denied says which check failed, without secrets. Any thread.
  Result<Caller> identify(std::string_view authorization, const device::IdentityName& target,
                          BytesView certificates_der = {}) const;

  /// A device's or module's MQTT credentials: its token (or that of a policy with device_connect), or its certificate.
  /// Answers with the time they end.
  Result<Timestamp> check_device(const device::IdentityName& name, std::string_view password, BytesView certificates_der) const;

  /// A plain MQTT client's: a device or module by its id, with its key, its token or its certificate; or a shared access
  /// policy with service_connect by its name, with its key or a token.
  Result<endpoint::Principal> check_plain(const std::string& user_name, std::string_view password,
                                          BytesView certificates_der) const;

  /// What a token proves that is put on a connection rather than sent with each call (AMQP, wire facts 7.2, 7.4).
  struct Proof {
    Caller caller;
    Timestamp until{};   ///< it is not taken from then on
    std::string holder;  ///< for holds(): the client id whose key it is; empty: a policy's
    endpoint::Credential credential;
  };
  /// For the hub as a whole, or for the device or module `target`. Fault::denied as identify().
  Result<Proof> prove(std::string_view token, const device::IdentityName& target) const;
  /// For an Event Hubs client's `audience`, decoded, `sb://HUB/..`: the key signs as the text it is, and what the token names must
  /// begin the audience.
  Result<Proof> prove_events(std::string_view token, std::string_view audience) const;
  bool is_registered(const device::IdentityName& name) const { return registry_.identities().find(name) != nullptr; }
  bool is_hub_name(std::string_view host) const { return device::is_hub_name(host, hub_names_); }

  DeviceAuthorities& authorities() const { return authorities_; }  ///< tables strand

  /// Which key the credentials just accepted were made with; and whether they would still be: the identity enabled, the
  /// policy there with its right, the key one of its two. `name`: a client id, or a plain client's user name.
  endpoint::Credential credential(const std::string& name, std::string_view password) const;
  bool holds(const std::string& name, const endpoint::Credential& credential) const;

 private:
  Result<Caller> identify_service(const sas::Token& token, std::string_view text, const device::IdentityName& target) const;
  Result<IdentityPtr> identity_in(std::string_view resource) const;
  Caller caller_of(const device::IdentityName& name) const;
  static endpoint::Credential credential_of(const device::Policy& policy, bool primary);
  Result<IdentityPtr> enabled_identity(const device::IdentityName& name) const;

  const Registry& registry_;
  DeviceAuthorities& authorities_;
  const std::vector<std::string> hub_names_;
  const Clock& clock_;
};

}  // namespace nacelle::hub

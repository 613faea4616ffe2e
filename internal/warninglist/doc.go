// Package warninglist reads warninglists in MISP's format (a folder of
// NAME/list.json, as in the repository MISP/misp-warninglists) and tells which
// of them hold a value. It fetches nothing.
//
// Values are matched as MISP matches them: string by the whole value,
// substring by a part, hostname by the host or a name above it, cidr by a
// network that covers the address or the network, regex by an expression. A
// list is asked only about the attribute types it names; if it names none,
// about all. Where this package differs from MISP:
//
//   - Letters' case never matters: our values are lower case.
//   - The host of a URL is found past user information and port, and the
//     domain of a mail address is its host. Such a match says HostOnly: a bad
//     path on a popular host is still bad. In a URL of a host alone it is whole.
//   - Entries are normalised as our values are, so 2001:DB8::1 finds
//     2001:db8::1.
//   - Expressions are Go's (RE2). What needs a backreference or a lookaround is
//     left out.
//   - An IPv4 network in IPv6 notation is the IPv4 network.
//
// What cannot be used is left out and told as a Fault with its file and field;
// the rest is loaded. Everything is bounded by the constants of this package.
// A loaded Set never changes and is safe for concurrent use.
package warninglist

// Package home is a member node's home folder: its keys, its store, which mesh
// and member it belongs to, where it listens, and the socket of its API.
//
//	keys/          node.key, member.key, next-member.key (see internal/keyring)
//	store/         the databases, encrypted with the key in node.key
//	mesh           mesh, member, and the card and ticket of a join that is under way
//	listen         the addresses with the ports that were chosen
//	quota          the disk that others may take, where it is not the default
//	lock           held by the process that runs the node
//	api.sock       the API, while a node runs
//
// Folders have mode 0700 and files 0600.
package home

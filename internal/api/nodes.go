package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
)

// leastKey is how much of a node's name must be given.
const leastKey = 6

// addNode answers POST /v1/card/nodes.
func (s *Server) addNode(w http.ResponseWriter, r *http.Request) error {
	q, err := readRequest(r)
	if err != nil {
		return err
	}
	return s.changeCard(w, r, s.n.AddsNode(q))
}

// pack answers POST /v1/card/pack.
func (s *Server) pack(w http.ResponseWriter, r *http.Request) error {
	q, err := readRequest(r)
	if err != nil {
		return err
	}
	sealed, err := s.n.Pack(q.Node)
	if err != nil {
		return err
	}
	return s.answer(w, Pack{Kind: "pack", Node: NodeName{ID: transport.PeerID(q.Node), Key: q.Node.String()}, Pack: sealed})
}

func readRequest(r *http.Request) (*protocol.NodeRequest, error) {
	var q NodeRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	out, err := protocol.ParseNodeRequest(q.Request)
	if err != nil {
		return nil, Errorf(CodeInvalid, "%v", err).WithHint("tipmesh join --own --out FILE makes one, on the other machine")
	}
	return out, nil
}

// retireNode answers POST /v1/card/retire.
func (s *Server) retireNode(w http.ResponseWriter, r *http.Request) error {
	var q NodeGone
	if err := read(r, &q); err != nil {
		return err
	}
	key, err := s.ownNode(q.Node)
	if err != nil {
		return err
	}
	if key == s.n.Key() {
		return Errorf(CodeDenied, "a node does not retire itself").WithHint("run it at another node of yours; or renew this one: tipmesh card node renew")
	}
	return s.changeCard(w, r, s.n.Retires(key))
}

// ownNode finds a node that our card names.
func (s *Server) ownNode(name string) (protocol.Key, error) {
	m, ok := s.us()
	if !ok {
		return protocol.Key{}, node.ErrNotMember
	}
	name = strings.TrimSpace(name)
	var found []protocol.Key
	for _, n := range m.Card.Nodes {
		if id := transport.PeerID(n.Key); n.Key.String() == name || id == name ||
			len(name) >= leastKey && (strings.HasPrefix(n.Key.String(), strings.ToLower(name)) || strings.HasSuffix(id, name)) {
			found = append(found, n.Key)
		}
	}
	found = slices.Compact(found)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return protocol.Key{}, Errorf(CodeNotFound, "our card names no node %.80q", name).WithHint("tipmesh card show; the key, or the end of the peer ID")
	}
	return protocol.Key{}, Errorf(CodeConflict, "%.80q means several nodes", name).WithHint("give the whole of it")
}

// renewNode answers POST /v1/card/renew.
func (s *Server) renewNode(w http.ResponseWriter, r *http.Request) error {
	return s.changeCard(w, r, s.n.Renews())
}

// rotateAge answers POST /v1/card/age.
func (s *Server) rotateAge(w http.ResponseWriter, r *http.Request) error {
	return s.changeCard(w, r, s.n.ChangesAge())
}

// takeOver answers POST /v1/card/takeover. The next key is never here: it only
// prepares.
func (s *Server) takeOver(w http.ResponseWriter, r *http.Request) error {
	var q Takeover
	if err := read(r, &q); err != nil {
		return err
	}
	var by, next protocol.Key
	if by.UnmarshalText([]byte(q.Key)) != nil || next.UnmarshalText([]byte(q.Next)) != nil {
		return Errorf(CodeInvalid, "the keys are not 64 hexadecimal digits")
	}
	u, err := s.n.DraftTakeover(by, protocol.HashOf(next[:]), q.After)
	if err != nil {
		return err
	}
	return s.prepared(w, []protocol.Unsigned{u}, nil)
}

package node

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// trustOwn begins the names of decisions of the trust list among the values that
// the member's nodes keep in common: "trust/" and the other member, or
// "trust/others" for the default line.
const (
	trustOwn       = "trust"
	trustOwnOthers = trustOwn + "/others"
)

func trustName(m protocol.MemberID) string {
	if m.IsZero() {
		return trustOwnOthers
	}
	return trustOwn + "/" + m.String()
}

// trustGone begins the value of a name for which the default line applies again:
// an empty value is none. Who took the line away and why follows.
const trustGone = "-"

type trustUnset struct {
	By  string `json:"by,omitempty"`
	Why string `json:"why,omitempty"`
}

func trustValue(c trust.Change) ([]byte, error) {
	if c.New == nil {
		raw, err := json.Marshal(trustUnset{By: c.By, Why: c.Why})
		return append([]byte(trustGone), raw...), err
	}
	return json.Marshal(c.New)
}

// reuseTrust takes in what came from another own node and, because this one
// stopped in between, perhaps was not.
func (n *Node) reuseTrust() {
	for _, o := range n.private.all() {
		if strings.HasPrefix(o.Name, trustOwn+"/") {
			n.useTrust(o)
		}
	}
}

// useTrust takes in a decision that was made at another own node.
func (n *Node) useTrust(o protocol.Own) {
	if err := n.takeTrust(o); err != nil {
		n.refused.add(ReasonMalformed, 1)
		n.log.Warn("a change of the trust list by an own node", "name", o.Name, "err", err)
	}
}

func (n *Node) takeTrust(o protocol.Own) error {
	var about *protocol.MemberID
	if o.Name != trustOwnOthers {
		id, err := protocol.ParseID[struct{}](strings.TrimPrefix(o.Name, trustOwn+"/"))
		if err != nil {
			return err
		}
		m := protocol.MemberID(id)
		about = &m
	}
	_, err := n.changeTrust(false, func(l *trust.List) ([]trust.Change, error) {
		if rest, gone := strings.CutPrefix(string(o.Value), trustGone); gone {
			var u trustUnset
			if about == nil {
				return nil, fmt.Errorf("read decision: %w", protocol.ErrMalformed)
			}
			if err := json.Unmarshal([]byte(rest), &u); err != nil {
				return nil, fmt.Errorf("read decision: %w", err)
			}
			return l.Apply([]trust.Edit{{Member: *about, By: u.By, Why: u.Why}}, o.Time)
		}
		var d trust.Decision
		if err := json.Unmarshal(o.Value, &d); err != nil {
			return nil, fmt.Errorf("read decision: %w", err)
		}
		c, err := l.Set(about, d, d.Since)
		if err != nil && d.Alias != "" {
			// Both nodes gave one alias at once, to different members.
			d.Alias = ""
			c, err = l.Set(about, d, d.Since)
		}
		return oneChange(c, err)
	})
	return err
}

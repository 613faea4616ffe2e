package node

import "github.com/tipmesh/tipmesh/protocol"

// Lengths of the queues between goroutines.
const (
	eventQueue  = 1024 // for the engine; who has something for it waits
	gossipQueue = 4096 // entries that gossip brought; what is beyond is left to sync
)

// Queue is something that neighbours can fill, and how far it may be filled.
type Queue struct {
	Name          string
	Length, Bound int
}

// queues lists what neighbours can fill in this node's memory.
func (n *Node) queues() []Queue {
	parked, ofOne := n.park.size()
	tags, epochs := n.keys.size()
	n.view.mu.Lock()
	shut := len(n.view.shut)
	n.view.mu.Unlock()
	n.opened.mu.Lock()
	opened := n.opened.bytes
	n.opened.mu.Unlock()
	return []Queue{
		{"events", len(n.events), eventQueue},
		{"gossip entries", len(n.gossip), gossipQueue},
		{"frames to one neighbour", n.links.longest(), linkQueue},
		{"parked bytes", parked, maxParkedBytes},
		{"parked bytes of one node", ofOne, maxParkedOfNode},
		{"refused feeds", shut, protocol.MaxFeedsHeld},
		{"known tags", tags, maxTags},
		{"epochs", epochs, maxEpochs},
		{"bytes opened ahead", opened, openedMost},
	}
}

// size gives the bytes parked, and those of the writing node that has most.
func (p *park) size() (all, ofOne int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, bytes := range p.bytes {
		ofOne = max(ofOne, bytes)
	}
	return p.total, ofOne
}

// size gives how many tags are remembered and how many epochs there are.
func (k *keys) size() (tags, epochs int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tags.count, len(k.byID)
}

// longest is how many frames wait for the neighbour with most.
func (ls *links) longest() (most int) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.byNode {
		l.mu.Lock()
		most = max(most, len(l.out))
		l.mu.Unlock()
	}
	return most
}

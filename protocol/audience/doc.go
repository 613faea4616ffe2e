// Package audience folds the states of a sharing group, and the leaves told by
// its members, into who is in it, who may change it, what counts of those who
// left, and which departures its epochs must know of. It is a function of a set:
// order and repetitions decide nothing.
//
// # The chain
//
// A state is valid if the one it names as Prev is, its number is one more, its
// owner the same, and its signer a node of the owner or of one of Prev's
// deputies. Of valid states after one the owner's comes first, then that of the
// deputy that Prev names first. Of two by one member neither is taken, unless one
// of them has seen the other. The chain from the first state along these choices
// ends at the head, whose list, deputies, name and history are the group's.
//
// A state has the past that Prev and Seen lead to. A deputy that a state takes
// out of the group, or the owner's out of the deputies, can no longer sign: its
// states that neither lie in the past of that one nor have it in theirs are not
// chosen.
//
// A state by a node that may not act any more counts where a state by one that
// may has it in its past, or where it came by its signer's own feed, within the
// cut: else a member that was removed could go on with what it once owned.
//
// # What cannot be undone
//
// An end, and the removal of a member, count wherever in the tree they stand;
// only the owner's own states remove the owner off the chain. A member that was
// removed, or left, is in again by a state of the chain that takes it in and has
// the removal, or the state that was left, in its past.
package audience

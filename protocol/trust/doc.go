// Package trust decides who is in a mesh and what they may do. It folds the set
// of statements into a roster, decides which statements a node keeps, and holds
// a member's own trust list, which can only narrow what the roster allows.
//
// # The fold is a function of a set
//
// Order of arrival, repetitions and clocks decide nothing. Where two statements
// compete, identifiers decide or neither counts, and an alarm says so.
//
// # Cards
//
// A member is its first card (version 1); its ID is that card's. The next card
// names it as Prev, has the next version and the same signer. Where two cards
// have one Prev, the last common card stands. The first NextKey that a key
// commits to on a path binds: a thief of the key cannot commit to another. A
// card signed by that next key names, as Prev, the last card of the old key that
// is to count and voids the old key's other cards; this also ends a conflict.
// Of two commitments the one in the card of lower version binds; two different
// next keys of one version: neither. A key counts with its first
// MaxCardsPerMember cards by version, then ID, and a member with MaxKeys keys.
//
// # Governors
//
// The charter's governors are keys; the member of a key is the first card it
// signed (of several the pinned one, else the lowest ID, with an alarm, and the
// others' IDs mean the same member). Only the change of governors is a line. A
// change counts with k approvals of the list it replaces and its own threshold
// of the list it makes. Of several such successors of one element none applies
// until a pin names one, or one of its descendants. A pinned change shuts out its
// rivals even before its approvals are known.
//
// More than half of the charter's recovery keys may approve a change of governors
// in place of the list it replaces, and decide nothing else.
//
// Only an Approval approves: the signature under a proposal does not, so that an
// inviter can propose what it leaves to others to decide. An approval counts for
// one seat, whatever became of the governor since: removing a governor must
// not undo what it approved, so only a change of governors takes its vote. An
// approval by an earlier key of its chain counts too, for the same reason; a
// change of governors that names a card of a governor in Accepts ends the keys
// before that card's, for everything decided under it and later elements.
//
// # Admissions, removals, cuts
//
// Each names the line element it is made under and is made with k approvals of
// that element's governors, the subject's own never counting; k stays k, so with
// two governors neither can be removed. It is accepted if the element is the head
// of the line, or if any later element of the line names it in Accepts. An
// admission or cut that is made but not accepted is void. A removal that is made
// bites always: accepted it removes, else (an older or rival element) it suspends.
// A later change confirms it by naming it; a re-admission overrides it; an
// accepted dismissal drops it.
//
// A member is active if an accepted admission of it names every removal of it
// that is made. Founders are admitted by the charter, which names none and is
// never void. So removals are permanent, whatever arrives later, and where two
// admissions of one member exist, one removal ends both.
//
// After a re-admission that overrides an accepted removal, nodes named by cards
// older than the admission's Card stay cut; without a Card all do.
//
// # Nodes
//
// A node belongs to one member. A claim that governors approved (the first card,
// or the Card of an accepted admission) goes before one in a later card of an
// active member, that before one of a member that is gone or in a card that no
// longer names it, that before one in a void card. Two equal claims of the first
// two sorts: nobody has the node until one is withdrawn or removed. So naming
// another's node never wins it; whoever approves an admission checks with Author
// that its card names no node of another.
//
// A feed ends at the lowest seq of all that cut it, and the survivor is the entry
// named there by the statement of lowest ID: removals (every node of the member;
// feeds not named end at 0), the newest valid card that retires the node (the
// same; retired once is retired for good), Cut statements (the named feeds only;
// by the member's present key, the MaxOwnCuts of lowest ID, or with k approvals).
// A node that the present
// card neither names nor retires ends at 0 until it does.
//
// # House rules
//
// Changes of the house rules chain from the charter, and are accepted as
// admissions are; of several that follow one the lowest ID counts, so that no
// node needs to choose.
//
// # Suspensions
//
// One governor may suspend a member for a time: once in SuspensionGap for a
// member whoever signs, one at a time for a governor. Which count is decided by
// the statements' own times, earliest first, so by the set alone. Only At looks
// at a clock: it gives the roster as it is at a time. Nothing is cut, and the
// suspended governor's approvals count, also for the dismissal that lifts it: k
// governors that want it back are enough, whoever they are. A suspension that
// counts is a departure from when it is known, so that the epochs of before are
// of no use, whatever the clocks say.
//
// # Marks
//
// A governor's node says which roster it sees. The newest of each is kept. Whoever
// runs a node judges by them how fresh its own roster is.
package trust

package resource

// UserRoles says which of the built-in roles may use a kind. They include one another: edit has the rules of view, and
// admin those of edit.
type UserRoles int

const (
	NoUserRoles         UserRoles = iota // only cluster-admin, and roles that an administrator writes
	AdminWrites                          // admin reads and writes
	EditWrites                           // edit reads and writes; view does not read
	ViewReads                            // view reads; only cluster-admin writes
	ViewReadsEditWrites                  // view reads and edit writes: the usual case
)

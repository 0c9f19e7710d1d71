package ecs

import (
	"errors"
	"strings"
)

// Errors of AWS that an answer's error may be, by errors.Is.
var (
	// ErrDenied: a permission is missing. The error names it.
	ErrDenied = errors.New("access denied")
	// ErrNotFound: AWS does not know the ECS cluster or service that was asked for.
	ErrNotFound = errors.New("not found")
	// ErrThrottled: the account's calls are used up for now.
	ErrThrottled = errors.New("AWS throttles")
	// ErrUnpaid: the own call budget had no call left in the time that was given.
	ErrUnpaid = errors.New("no call is left in time")
)

// Fault is the error of a call to AWS, in parts: what is wrong and what to do are worded alike for all calls that one cause
// strikes.
type Fault struct {
	// Asked is what was asked for, and Permission what that takes, such as ecs:ListTasks.
	Asked, Permission string
	// Wrong is what is wrong, Do what to do, and Said what AWS or the network said; all but Wrong may be "".
	Wrong, Do, Said string
	// Unknown marks that Wrong is no word of ours, and may differ from call to call.
	Unknown bool
	// Err is one of the errors above or what lies below; nil for neither.
	Err error
}

// Error is all of it in one line.
func (f *Fault) Error() string {
	line := "asking AWS for " + f.Asked + " (" + f.Permission + ")"
	for _, part := range []string{f.Wrong, f.Do, f.Said} {
		if part != "" {
			line += ": " + part
		}
	}
	return strings.ToValidUTF8(line, "�")
}

// Unwrap tells what kind of error it is.
func (f *Fault) Unwrap() error { return f.Err }

// Cause is what is alike for all that one fault strikes: what is wrong, whatever was asked for; or the permission, where that
// lacks or nobody knows what is wrong.
func (f *Fault) Cause() string {
	if f.Unknown || errors.Is(f.Err, ErrDenied) {
		return f.Permission
	}
	return f.Wrong
}

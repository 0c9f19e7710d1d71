//go:build race

package virtual

// raced tells that the race detector watches, with which all takes some ten times as long.
const raced = true

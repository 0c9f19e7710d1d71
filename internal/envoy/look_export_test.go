package envoy

// SightIn is what a config dump alone tells.
func SightIn(body []byte) (s Sight, err error) {
	err = s.readDump(body)
	return s, err
}

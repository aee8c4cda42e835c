/** A text that makes the request's body larger than the 256 KiB that the server accepts. */
pm.variables.set("tooLong", "x".repeat(300 * 1024))

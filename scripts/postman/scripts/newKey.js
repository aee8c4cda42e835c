/** A new idempotency key. */
pm.collectionVariables.set("idempotencyKey", pm.variables.replaceIn("{{$guid}}"))

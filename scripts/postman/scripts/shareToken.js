/** Keeps the token of the link, which is the last part of its address. */
pm.collectionVariables.set("shareToken", pm.response.json().url.split("/").pop())

/** Keeps the id of the last event: a stream that was interrupted resumes after it. */
const ids = [...pm.response.text().matchAll(/^id: (.*)$/gm)].map(([, id]) => id)
pm.test("Events have ids", () => pm.expect(ids).to.not.eql([]))
pm.collectionVariables.set("lastEventId", ids.pop())

/** A message of the model. */
export interface Node {
  readonly id: string
  readonly role: "user" | "model"
  readonly text: string
  /** Of a question the reply that it follows; of a reply its question. */
  readonly parent: string | null
  readonly isCompleted: boolean
}

/** What a room with branches is, in memory: the rules without the database. Nodes are in the order in which they were made. */
export class RoomTree {
  head: string | null = null
  private readonly nodes = new Map<string, Node>()

  get all(): ReadonlyArray<Node> {
    return [...this.nodes.values()]
  }

  of(role: Node["role"]): ReadonlyArray<Node> {
    return this.all.filter((node) => node.role === role)
  }

  get(id: string): Node {
    const node = this.nodes.get(id)
    if (node === undefined) throw new Error(`no message ${id}`)
    return node
  }

  add(node: Node): void {
    this.nodes.set(node.id, node)
    if (node.role === "model") this.head = node.id
  }

  childrenOf(parent: string | null, role: Node["role"]): ReadonlyArray<Node> {
    return this.all.filter((node) => node.role === role && node.parent === parent)
  }

  versionsOf({ parent, role }: Node): ReadonlyArray<string> {
    return this.childrenOf(parent, role).map(({ id }) => id)
  }

  /** The reply that a question follows when it is sent now. */
  get followed(): string | null {
    if (this.head === null) return null
    const head = this.get(this.head)
    if (head.role === "user") return head.parent
    if (head.isCompleted) return head.id
    const question = this.get(head.parent ?? "")
    return this.childrenOf(question.id, "model").findLast(({ isCompleted }) => isCompleted)?.id ?? question.parent
  }

  /** The messages from the first question to this one. */
  pathTo(id: string | null): ReadonlyArray<Node> {
    if (id === null) return []
    const node = this.get(id)
    return [...this.pathTo(node.parent), node]
  }

  newestLeaf(from: string | null): string | null {
    const isReply = from === null || this.get(from).role === "model"
    const child = this.childrenOf(from, isReply ? "user" : "model").at(-1)
    return child === undefined ? from : this.newestLeaf(child.id)
  }

  private under(id: string): ReadonlyArray<string> {
    const children = this.all.filter((node) => node.parent === id)
    return [id, ...children.flatMap((child) => this.under(child.id))]
  }

  remove(question: string): void {
    const { parent } = this.get(question)
    const gone = this.under(question)
    for (const id of gone) this.nodes.delete(id)
    if (this.head !== null && gone.includes(this.head)) this.head = this.newestLeaf(parent)
  }
}

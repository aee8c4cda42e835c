import { showsRooms } from "../state/panels.ts"
import { found } from "../state/rooms.ts"
import { ago } from "../text/format.ts"

export const SearchResults = () => (
  <section aria-labelledby="found">
    <h2 id="found" class="list-title">
      Messages
    </h2>
    {found.value === undefined && <p class="empty">Searching…</p>}
    {found.value?.length === 0 && <p class="empty">No message contains this.</p>}
    <ul>
      {found.value?.map(({ chatroomId, createdAt, id, role, snippet }) => (
        <li key={id} class="found">
          <a href={`#${chatroomId}/${id}`} onClick={() => (showsRooms.value = false)}>
            <span class="found-text">{snippet}</span>
            <span class="found-about">
              {role === "user" ? "You" : "Reply"}, {ago(createdAt)}
            </span>
          </a>
        </li>
      ))}
    </ul>
  </section>
)

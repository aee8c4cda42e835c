export const room = { id: "{{roomId}}" }
export const reply = { ...room, mid: "{{replyId}}" }

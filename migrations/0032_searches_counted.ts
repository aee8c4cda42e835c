export { sendMessage as default } from "./functions/sendMessage.ts"

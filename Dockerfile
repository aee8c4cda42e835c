# Two stages: one that makes the bundle, and one that holds only it and the native addon it loads.
FROM node:26-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build

FROM node:26-slim
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build /app/node_modules/@node-rs ./node_modules/@node-rs
COPY --from=build /app/dist ./dist
COPY scripts/healthcheck.mjs ./

USER node
EXPOSE 3000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["node", "healthcheck.mjs"]
# In exec form, so that SIGTERM reaches the server: it drains within 25 seconds and exits 0.
CMD ["node", "--enable-source-maps", "dist/main.mjs"]

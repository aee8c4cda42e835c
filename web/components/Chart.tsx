interface Bar {
  readonly name: string
  readonly value: number
  readonly text: string
}

interface Props {
  readonly caption: string
  readonly bars: ReadonlyArray<Bar>
}

const height = 120
const slot = 40

/** A bar chart; the same numbers are a table for screen readers. */
export const Chart = ({ bars, caption }: Props) => {
  const highest = Math.max(1, ...bars.map(({ value }) => value))
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${bars.length * slot} ${height + 40}`} aria-hidden="true" focusable="false">
        {bars.map(({ name, text, value }, index) => {
          const size = Math.max(value === 0 ? 1 : 3, (value / highest) * height)
          const middle = index * slot + slot / 2
          return (
            <g key={name}>
              <rect
                x={index * slot + 8}
                y={20 + height - size}
                width={slot - 16}
                height={size}
                rx={3}
                class={value === 0 ? "bar none" : "bar"}
              />
              {value > 0 && (
                <text x={middle} y={14 + height - size} text-anchor="middle">
                  {text}
                </text>
              )}
              {index % 2 === 1 && (
                <text x={middle} y={height + 36} text-anchor="middle" class="axis">
                  {name.slice(5)}
                </text>
              )}
            </g>
          )
        })}
      </svg>
      <figcaption>{caption}</figcaption>
      <table class="visually-hidden">
        <caption>{caption}</caption>
        <tbody>
          {bars.map(({ name, text }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{text}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  )
}

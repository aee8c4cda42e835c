import type { Database } from "./Experiment.ts"

/** When a reply was claimed, was ended, or was changed after its end. */
export type AuditEntry = {
  readonly reply_id: string
  readonly at: Date
  readonly kind: "claimed" | "ended" | "changed"
  readonly attempt: number
}

/** Records every claim, end and later change of replies by a trigger, because the rows do not keep them. */
export const installAudit = async (database: Database): Promise<void> => {
  await database.query(`
    create table chaos_audit (reply_id uuid, at timestamptz default clock_timestamp(), kind text, attempt int);
    create function chaos_note() returns trigger language plpgsql as $$
    begin
      if old.status in ('completed', 'failed', 'cancelled') then
        if (old.status, old.content, old.attempt, old.completed_at, old.quota_state)
          is distinct from (new.status, new.content, new.attempt, new.completed_at, new.quota_state) then
          insert into chaos_audit values (new.id, default, 'changed', new.attempt);
        end if;
      elsif new.status in ('completed', 'failed', 'cancelled') then
        insert into chaos_audit values (new.id, default, 'ended', new.attempt);
      elsif new.attempt > old.attempt then
        insert into chaos_audit values (new.id, default, 'claimed', new.attempt);
      end if;
      return new;
    end $$;
    create trigger chaos_note after update on messages for each row when (old.role = 'model') execute function chaos_note();
  `)
}

export const readAudit = (database: Database) => database.query<AuditEntry>("select * from chaos_audit order by at")

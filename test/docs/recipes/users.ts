import { Injectable } from '@nestjs/common';

/** Stands for the application's own users. */
@Injectable()
export class Users {
  private readonly roles = new Map<string, string>();
  private readonly passwords = new Map([['ada', 'engine-1843']]);

  async verify(name: string, password: string): Promise<{ id: string } | undefined> {
    return this.passwords.get(name) === password ? { id: name } : undefined;
  }

  async remove(id: string): Promise<void> {
    this.passwords.delete(id);
  }

  async setRole(id: string, role: string): Promise<void> {
    this.roles.set(id, role);
  }

  async setPassword(id: string, password: string): Promise<void> {
    this.passwords.set(id, password);
  }
}

/**
 * How one value is written into a storage and read back. A codec may write one value in many ways: if the text differs,
 * what is stored is decoded and compared.
 */
export interface SessionCodec {
  encode(value: unknown): string;
  decode(text: string): unknown;
}

export const jsonCodec: SessionCodec = { encode: JSON.stringify, decode: JSON.parse };

/**
 * The files of a workspace. Every `path` is what a caller wrote: it goes through `parseWorkspacePath`, and symlinks that leave the
 * workspace are refused where the files are. All methods throw `SandboxError`, or the signal's reason when it is aborted.
 */
export interface SandboxFiles {
  /**
   * The bytes of a file, or of its part from `offset` on.
   * @throws SandboxError `file_too_large` if more than `maxBytes` (default 10 MiB) would be returned; `file_not_found`, `not_a_file`
   */
  read(path: string, options?: ReadOptions & { maxBytes?: number }, signal?: AbortSignal): Promise<Uint8Array>;

  /**
   * The same as a stream with flow control: what is not taken is not read from disk. The body must be read to its end or
   * returned from; leaving a `for await` early does that.
   */
  readStream(path: string, options?: ReadOptions, signal?: AbortSignal): Promise<FileStream>;

  /**
   * Writes a whole file: readers see the old content or the new, never a part. Missing parent folders are made. A stream is taken
   * only as fast as the disk takes it.
   * @throws SandboxError `file_exists` (with `ifExists: "fail"`), `file_changed` (with `ifMatch`), `disk_full`, `file_too_large`
   */
  write(path: string, content: FileContent, options?: WriteOptions, signal?: AbortSignal): Promise<FileEntry>;

  /** The entries of a folder by name, symlinks not followed. At most `limit` (default 10,000); `truncated` says that there are more. */
  list(path: string, options?: { limit?: number }, signal?: AbortSignal): Promise<FileList>;

  /** One entry, symlinks followed. Null if there is none. */
  stat(path: string, signal?: AbortSignal): Promise<FileEntry | null>;

  /** Makes a folder with its parents. One that exists is fine. */
  mkdir(path: string, signal?: AbortSignal): Promise<void>;

  /**
   * Renames or moves a file or folder. Missing parent folders of the target are made.
   * @throws SandboxError `file_exists` if the target exists, unless `overwrite` and both are files
   */
  move(from: string, to: string, options?: { overwrite?: boolean }, signal?: AbortSignal): Promise<void>;

  /**
   * Removes a file, a symlink (never its target), or a folder; a folder with content only if `recursive`.
   * @throws SandboxError `file_not_found`, `directory_not_empty`; `invalid_argument` for the workspace itself
   */
  remove(path: string, options?: { recursive?: boolean }, signal?: AbortSignal): Promise<void>;

  /** Sets the permission bits, for instance `0o755`. */
  setMode(path: string, mode: number, signal?: AbortSignal): Promise<void>;

  /** Finds files by name, by content, or by both. Symlinks are not followed, binary files are not searched by content. */
  search(query: SearchQuery, signal?: AbortSignal): Promise<SearchResult>;
}

export interface ReadOptions {
  /** First byte, default 0. */
  offset?: number;
  /** Bytes at most, default to the end. */
  length?: number;
}

export interface FileStream {
  /** The file as it was opened; `size` is the whole file's. */
  entry: FileEntry;
  body: AsyncGenerator<Uint8Array, void, undefined>;
}

export type FileContent = string | Uint8Array | AsyncIterable<Uint8Array>;

export interface WriteOptions {
  /** What happens to a file of this name: `replace` (default) or `fail`. */
  ifExists?: "replace" | "fail";
  /** Only replace this version: the `etag` of the entry that was read. */
  ifMatch?: string;
  /** Permission bits. Default: those of the file that is replaced, else 0o644. */
  mode?: number;
}

export interface FileEntry {
  name: string;
  /** Relative to the workspace. */
  path: string;
  type: "file" | "directory" | "symlink" | "other";
  /** Bytes. */
  size: number;
  modifiedAt: Date;
  /** Permission bits. */
  mode: number;
  /** Changes whenever the content may have changed. */
  etag: string;
}

export interface FileList {
  entries: FileEntry[];
  truncated: boolean;
}

export interface SearchQuery {
  /** Where to begin, default the whole workspace. */
  path?: string;
  /** Pattern over the path relative to where the search begins, for instance `**\/*.ts`. Default: every file. */
  glob?: string;
  /** Text that a line must contain, taken literally. Default: names only. */
  text?: string;
  /** Names of folders that are not entered. Default `.git` and `node_modules`. */
  exclude?: string[];
  /** Matches at most, default 200. */
  limit?: number;
}

export interface SearchResult {
  matches: SearchMatch[];
  /** There may be more: the limit was reached, or the bound on visited files. */
  truncated: boolean;
}

export interface SearchMatch {
  /** Relative to the workspace. */
  path: string;
  /** From 1, null if only names were searched. */
  line: number | null;
  /** The line, cut to 500 characters. Null if only names were searched. */
  text: string | null;
}

// What a reader prefers, kept in this browser.
import { useSyncExternalStore } from 'react'

export type Theme = 'system' | 'light' | 'dark'
export type Zone = 'utc' | 'local'

const listeners = new Set<() => void>()

function read(key: string): string | null {
  try {
    return localStorage.getItem(`towpath.${key}`)
  } catch {
    return null
  }
}

function write(key: string, value: string) {
  try {
    localStorage.setItem(`towpath.${key}`, value)
  } catch {
    // A browser that keeps nothing forgets it with the page.
  }
  listeners.forEach((listener) => listener())
}

const subscribe = (listener: () => void) => {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

export const useTheme = () => useSyncExternalStore(subscribe, () => (read('theme') ?? 'system') as Theme)
export const useZone = () => useSyncExternalStore(subscribe, () => (read('zone') ?? 'utc') as Zone)

export function applyTheme(theme = (read('theme') ?? 'system') as Theme) {
  document.documentElement.dataset.theme = theme
}

export function setTheme(theme: Theme) {
  applyTheme(theme)
  write('theme', theme)
}

export const setZone = (zone: Zone) => write('zone', zone)

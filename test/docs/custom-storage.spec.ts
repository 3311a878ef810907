import { describeSessionStorage } from 'nest-sessions/testing';
import { MapStorage } from './custom-storage.js';

describeSessionStorage('MapStorage', ({ now }) => new MapStorage(now));
